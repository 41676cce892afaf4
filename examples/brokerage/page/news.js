// @ts-check
// Headlines as they come. EventSource comes back by itself after a broken connection, until nobody is signed in.
import { el, get, now, say, time } from "./dom.js";
import { onSignedOut, worthTrying } from "./session.js";

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
  source.addEventListener("error", async () => {
    stopped ||= `News stopped at ${now()}`;
    say("news", "stopped", stopped);
    if (!(await worthTrying())) return;
    if (source.readyState === EventSource.CONNECTING) say("news", "stopped", `${stopped}. Trying again`);
  });
  onSignedOut(() => {
    source.close();
    say("news", "stopped", stopped || `News stopped at ${now()}`);
  });
}
