// @ts-check
// The daily report: CSV that is written while it is computed, row by row, for minutes.
import { wholeNumber } from "./http.js";
import { money, randomFrom } from "./market.js";

export const COLUMNS = "row,time,symbol,side,quantity,price";

/**
 * @param {object} parts
 * @param {import("./market.js").Market} parts.market
 * @param {import("./log.js").Log} parts.log
 * @param {number} parts.seed
 */
export function createReport({ market, log, seed }) {
  return {
    /**
     * @param {import("node:http").ServerResponse} res
     * @param {URLSearchParams} query
     * @param {import("./who.js").User} user
     */
    serve(res, query, user) {
      const rows = wholeNumber(query, "rows", { default: 1500, min: 1, max: 100_000 });
      const everyMs = wholeNumber(query, "every_ms", { default: 200, min: 1, max: 10_000 });
      const opened = Date.now();
      const random = randomFrom(seed);
      const instruments = market.all();
      let written = 0;
      let full = false;

      res.writeHead(200, {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": 'attachment; filename="daily.csv"',
        "Cache-Control": "no-store",
        // So that a reader can tell a whole report from one that was cut between two rows.
        "X-Total-Rows": String(rows),
      });
      log({ event: "report_opened", user: user.id, rows, every_ms: everyMs });
      res.write(COLUMNS + "\r\n");

      const timer = setInterval(() => {
        if (full) return;
        const instrument = instruments[Math.floor(random() * instruments.length)];
        const side = random() < 0.5 ? "buy" : "sell";
        const quantity = (1 + Math.floor(random() * 40)) * 25;
        const price = money(instrument.open * (0.98 + random() * 0.04)).toFixed(2);
        written += 1;
        const time = new Date().toISOString();
        full = !res.write(`${written},${time},${instrument.symbol},${side},${quantity},${price}\r\n`);
        if (written === rows) {
          clearInterval(timer);
          res.end();
        }
      }, everyMs);
      res.on("drain", () => {
        full = false;
      });
      res.on("close", () => {
        clearInterval(timer);
        log({
          event: "report_closed",
          user: user.id,
          rows: written,
          complete: res.writableFinished,
          ms: Date.now() - opened,
        });
      });
    },
  };
}
