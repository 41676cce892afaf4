// @ts-check
// The daily report, shown while it is being written.
import { count, get, now, say, swap } from "./dom.js";
import { Refused, SignedOut, isSignedOut, onSignedOut, request, worthTrying } from "./session.js";
import { createTable } from "./table.js";

const SHOWN = 8;

export function startReport() {
  const show = get("report-show");
  const stop = get("report-stop");
  const progress = /** @type {HTMLProgressElement} */ (get("report-progress"));
  /** @type {AbortController | null} */
  let running = null;

  /** What came of the last one, and when. */
  let ended = "";
  let at = "";

  onSignedOut(() => {
    if (running) running.abort();
    else if (ended) say("report", "stopped", `${ended}. Not updated since ${at}`);
  });
  show.addEventListener("click", () => void run());
  stop.addEventListener("click", () => running?.abort());

  async function run() {
    if (running) return;
    running = new AbortController();
    const { signal } = running;
    swap(show, stop);
    let received = 0;
    ended = "";
    say("report", "waiting", "Asking for the report");
    try {
      const response = await request("/reports/daily.csv", { signal });
      const total = Number(response.headers.get("X-Total-Rows")) || 0;
      get("report-live").hidden = false;
      progress.max = total || 1;
      received = await read(response, (rows) => {
        received = rows;
        progress.value = rows;
        say("report", "live", `${count(rows)} of ${count(total)} rows`);
      });
      if (total > 0 && received < total) throw new TypeError("incomplete");
      ended = `Complete: ${count(received)} rows`;
      say("report", "live", ended);
    } catch (error) {
      const rows = `after ${count(received)} rows`;
      if (signal.aborted && !isSignedOut()) {
        ended = `You stopped it ${rows}`;
        say("report", "waiting", ended);
      } else if (error instanceof SignedOut) say("report", "stopped", "Report stopped: you are signed out");
      else if (error instanceof Refused) say("report", "stopped", error.message);
      else {
        say("report", "stopped", `Report stopped at ${now()} ${rows}; it is incomplete`);
        void worthTrying();
      }
    } finally {
      at = now();
      running = null;
      swap(stop, show);
    }
  }

  /**
   * @param {Response} response
   * @param {(rows: number) => void} onRows
   */
  async function read(response, onRows) {
    /** @type {ReturnType<typeof createTable<string[]>> | null} */
    let table = null;
    /** @type {string[][]} */
    const last = [];
    let rows = 0;
    let rest = "";
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return rows;
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split("\r\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const cells = line.split(",");
        if (!table) {
          table = createTable("report-table", {
            key: (row) => row[0],
            empty: "No rows yet.",
            sorts: false,
            columns: cells.map((title, i) => ({
              title: title.charAt(0).toUpperCase() + title.slice(1),
              kind: ["figure", "narrow-off", "", "", "figure", "figure"][i],
              value: (row) => (i === 1 ? row[i].slice(11, 19) + " UTC" : row[i]),
            })),
          });
        } else {
          rows += 1;
          last.unshift(cells);
        }
      }
      last.length = Math.min(last.length, SHOWN);
      table?.render(last);
      onRows(rows);
    }
  }
}
