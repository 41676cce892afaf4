// @ts-check
// Prices as they come. When the socket closes the panel says so; it is tried again, slower each time, as long as
// somebody is signed in.
import { change, now, price, say } from "./dom.js";
import { isSignedOut, later, onSignedOut, worthTrying } from "./session.js";
import { createTable } from "./table.js";

/** @typedef {{symbol: string, last: number, change: number}} Quote */

const WAITS = [2, 5, 10, 30];

/** @param {(quotes: Map<string, Quote>) => void} onQuotes */
export function startQuotes(onQuotes) {
  /** @type {ReturnType<typeof createTable<Quote>>} */
  const table = createTable("quotes-table", {
    key: (quote) => quote.symbol,
    empty: "No quotes yet.",
    columns: [
      { title: "Symbol", kind: "key", value: (quote) => quote.symbol },
      { title: "Last", kind: "figure", value: (quote) => quote.last, show: (quote) => price(quote.last) },
      { title: "Change", kind: "figure", value: (quote) => quote.change, show: (quote) => change(quote.change) },
    ],
  });
  table.render([]);
  let failures = 0;
  let stopped = "";
  let code = "";
  /** @type {WebSocket} */
  let socket;
  connect();
  onSignedOut(() => {
    stopped ||= `Quotes stopped at ${now()}`;
    say("quotes", "stopped", stopped, code);
    socket.close();
  });

  function connect() {
    say("quotes", "waiting", "Connecting");
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/quotes`);
    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type !== "quotes") return;
      failures = 0;
      stopped = code = "";
      say("quotes", "live", "Live");
      table.render(message.quotes);
      onQuotes(new Map(message.quotes.map((/** @type {Quote} */ quote) => [quote.symbol, quote])));
    });
    socket.addEventListener("close", (event) => void closed(event));
  }

  /** @param {CloseEvent} event */
  async function closed(event) {
    stopped ||= `Quotes stopped at ${now()}`;
    // A code without a reason after the end only answers our own closing.
    code = event.reason ? `${event.code} ${event.reason}` : isSignedOut() ? code : String(event.code);
    say("quotes", "stopped", stopped, code);
    if (!(await worthTrying())) return;
    const wait = WAITS[Math.min(failures, WAITS.length - 1)];
    failures += 1;
    say("quotes", "stopped", `${stopped}. Trying again in ${wait} s`, code);
    // A little chance, so that many pages do not come back in the same instant.
    later(wait * 1000 * (0.8 + Math.random() * 0.4), connect);
  }
}
