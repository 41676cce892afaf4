// @ts-check
// Headlines as server-sent events. What headline a number has follows from the number, so that a client which
// comes back with Last-Event-ID gets exactly what it missed.

const KEEP_ALIVE_MS = 5_000;
/** How far back a returning client is served. */
const KEPT = 100;
const AT_FIRST = 5;

const WHO = [
  "Breakwater Shipping", "Coastal Utilities", "Firth Renewables", "Keel Industrial",
  "Lantern Insurance", "Mooring Trust", "Quayside Property",
];
const WHAT = [
  ["confirms its guidance for the year", "Margins held in the second half; the board keeps the dividend."],
  ["names a new head of operations", "She joins in the spring from a competitor."],
  ["opens a terminal in Rotterdam", "Capacity grows by a tenth. Costs are within plan."],
  ["places a five-year bond", "The book was covered twice at the tighter end of talk."],
  ["reports a quiet third quarter", "Volumes were flat; cash flow was a little ahead."],
];

/** @param {number} id */
export function headline(id) {
  const [does, detail] = WHAT[id % WHAT.length];
  return { headline: `${WHO[(id * 3) % WHO.length]} ${does}`, detail };
}

/**
 * @param {number} id
 * @param {Date} at when it was published
 */
function asEvent(id, at) {
  const { headline: title, detail } = headline(id);
  return `id: ${id}\nevent: headline\ndata: ${title}\ndata: ${detail}\ndata: ${at.toISOString()}\n\n`;
}

/** @param {{log: import("./log.js").Log, everyMs: number}} options */
export function createNews({ log, everyMs }) {
  let latest = AT_FIRST;
  const firstAt = Date.now() - AT_FIRST * everyMs;
  /** @type {Set<(id: number) => void>} */
  const readers = new Set();
  /** @type {Set<import("node:http").ServerResponse>} */
  const open = new Set();
  const timer = setInterval(() => {
    latest += 1;
    for (const tell of readers) tell(latest);
  }, everyMs);
  timer.unref();

  return {
    /**
     * @param {import("node:http").IncomingMessage} req
     * @param {import("node:http").ServerResponse} res
     * @param {import("./who.js").User} user
     */
    serve(req, res, user) {
      const opened = Date.now();
      let sent = 0;
      const last = /^\d{1,9}$/.test(String(req.headers["last-event-id"]))
        ? Number(req.headers["last-event-id"])
        : null;
      // A number from the future is of another run of the desk: start afresh.
      const from = last === null || last > latest ? latest - AT_FIRST : Math.max(last, latest - KEPT);

      res.writeHead(200, {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
      });
      log({ event: "news_opened", user: user.id, last_event_id: last });
      res.write("retry: 5000\n\n");

      /** @param {number} id */
      const tell = (id) => {
        if (res.writableLength > 1024 * 1024) {
          res.destroy();
          return;
        }
        res.write(asEvent(id, new Date(firstAt + id * everyMs)));
        sent += 1;
      };
      for (let id = from + 1; id <= latest; id++) tell(id);
      readers.add(tell);
      open.add(res);
      const keepAlive = setInterval(() => res.write(": keep-alive\n\n"), KEEP_ALIVE_MS);
      res.on("close", () => {
        readers.delete(tell);
        open.delete(res);
        clearInterval(keepAlive);
        log({ event: "news_closed", user: user.id, sent, ms: Date.now() - opened });
      });
    },

    close() {
      clearInterval(timer);
      for (const res of open) res.end();
    },
  };
}
