// @ts-check
// Messages, asked for every three seconds until nobody is signed in.
import { el, get, now, say, stale, time } from "./dom.js";
import { json, later } from "./session.js";

const EVERY_MS = 3000;
const SHOWN = 5;

/** @param {() => void} onNew */
export function startNotifications(onNew) {
  const list = get("notifications-list");
  let after = 0;
  let first = true;
  void poll();

  async function poll() {
    try {
      const { notifications } = await json(`/api/notifications?after=${after}`);
      for (const { id, at, text } of notifications) {
        after = Math.max(after, id);
        list.prepend(el("li", {}, el("span", {}, text), el("span", { class: "sub" }, time(at))));
      }
      while (list.children.length > SHOWN) list.lastElementChild?.remove();
      say("notifications", "live", after === 0 ? `None. Checked at ${now()}` : `Checked at ${now()}`);
      if (notifications.length > 0 && !first) onNew();
      first = false;
    } catch {
      stale("notifications");
    }
    later(EVERY_MS, () => void poll());
  }
}
