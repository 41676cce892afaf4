// @ts-check
// Headlines as they come. EventSource comes back by itself after a broken connection, and stays away after a 401.
import { el, get, now, say, time } from "./dom.js";
import { isSignedOut, worthTrying } from "./session.js";

const SHOWN = 6;

export function startNews() {
  const list = get("news-list");
  say("news", "waiting", "Connecting");
  const source = new EventSource("/api/news");
  let stopped = "";
  source.addEventListener("open", () => {
    stopped = "";
    say("news", "live", "Live");
  });
  source.addEventListener("headline", (event) => {
    const [title, detail, at] = String(event.data).split("\n");
    const item = el("li", {}, el("span", {}, title), el("span", { class: "sub" }, time(at), detail));
    list.prepend(item);
    while (list.children.length > SHOWN) list.lastElementChild?.remove();
  });
  source.addEventListener("error", () => {
    stopped ||= `News stopped at ${now()}`;
    if (isSignedOut()) source.close();
    if (source.readyState === EventSource.CLOSED) {
      say("news", "stopped", stopped);
      void worthTrying();
    } else {
      say("news", "stopped", `${stopped}. Trying again`);
    }
  });
}
