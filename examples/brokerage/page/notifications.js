// @ts-check
// Messages, asked for every three seconds until nobody is signed in.
import { el, get, now, say, time } from "./dom.js";
import { SignedOut, isSignedOut, json } from "./session.js";

const EVERY_MS = 3000;
const SHOWN = 5;

/** @param {() => void} onNew */
export function startNotifications(onNew) {
  const list = get("notifications-list");
  let after = 0;
  let checked = "";
  let first = true;
  void poll();

  async function poll() {
    try {
      if (isSignedOut()) throw new SignedOut();
      const { notifications } = await json(`/api/notifications?after=${after}`);
      for (const { id, at, text } of notifications) {
        after = Math.max(after, id);
        list.prepend(el("li", {}, el("span", {}, text), el("span", { class: "sub" }, time(at))));
      }
      while (list.children.length > SHOWN) list.lastElementChild?.remove();
      checked = now();
      say("notifications", "live", after === 0 ? `None. Checked at ${checked}` : `Checked at ${checked}`);
      if (notifications.length > 0 && !first) onNew();
      first = false;
    } catch (error) {
      say("notifications", "stopped", checked ? `Not checked since ${checked}` : "Not checked");
      if (error instanceof SignedOut) return;
    }
    setTimeout(() => void poll(), EVERY_MS);
  }
}
