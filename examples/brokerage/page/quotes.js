// @ts-check
// Prices as they come. When the socket closes the panel says so; it is tried again, slower each time, as long as
// somebody is signed in.
import { change, now, price, say } from "./dom.js";
import { isSignedOut, worthTrying } from "./session.js";
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
  connect();

  function connect() {
    if (isSignedOut()) return;
    say("quotes", "waiting", "Connecting");
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/quotes`);
    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type !== "quotes") return;
      failures = 0;
      say("quotes", "live", "Live");
      table.render(message.quotes);
      onQuotes(new Map(message.quotes.map((/** @type {Quote} */ quote) => [quote.symbol, quote])));
    });
    socket.addEventListener("close", (event) => void closed(event));
  }

  /** @param {CloseEvent} event */
  async function closed(event) {
    const why = event.reason ? `${event.code} ${event.reason}` : String(event.code);
    const text = `Quotes stopped at ${now()} (${why})`;
    say("quotes", "stopped", text);
    if (!(await worthTrying())) return;
    const wait = WAITS[Math.min(failures, WAITS.length - 1)];
    failures += 1;
    say("quotes", "stopped", `${text}. Trying again in ${wait} s`);
    // A little chance, so that many pages do not come back in the same instant.
    setTimeout(connect, wait * 1000 * (0.8 + Math.random() * 0.4));
  }
}
