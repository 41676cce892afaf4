// @ts-check
// Live quotes over a WebSocket. A client may also ask for an echo, or for one message in several frames.
import { WebSocketServer } from "ws";
import { wholeNumber } from "./http.js";

/** Above this many unsent bytes a client is too slow, and quotes are left out: the next one replaces them. */
const BACKLOG = 1024 * 1024;

/**
 * @param {object} parts
 * @param {import("./market.js").Market} parts.market
 * @param {import("./log.js").Log} parts.log
 */
export function createQuotes({ market, log }) {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 1024 * 1024,
    perMessageDeflate: { threshold: 128, concurrencyLimit: 10 },
  });

  return {
    /**
     * @param {import("node:http").IncomingMessage} req
     * @param {import("node:stream").Duplex} socket
     * @param {Buffer} head
     * @param {URLSearchParams} query
     * @param {import("./who.js").User} user
     */
    upgrade(req, socket, head, query, user) {
      const rate = wholeNumber(query, "rate", { default: 4, min: 1, max: 200 });
      const pingMs = wholeNumber(query, "ping_ms", { default: 10_000, min: 100, max: 60_000 });
      sockets.handleUpgrade(req, socket, head, (ws) => serve(ws, user, rate, pingMs));
    },

    close() {
      for (const ws of sockets.clients) ws.close(1001, "the desk is closing");
    },
  };

  /**
   * @param {import("ws").WebSocket} ws
   * @param {import("./who.js").User} user
   * @param {number} rate
   * @param {number} pingMs
   */
  function serve(ws, user, rate, pingMs) {
    const opened = Date.now();
    let sent = 0;
    let received = 0;
    let skipped = 0;
    let unanswered = 0;
    /** Frames of another message must not stand between the fragments of one. */
    let fragmenting = false;
    /** @type {(string | Buffer)[]} */
    const waiting = [];
    log({ event: "quotes_opened", user: user.id, rate });

    /** @param {string | Buffer} message */
    function send(message) {
      if (fragmenting) {
        if (waiting.length < 100) waiting.push(message);
      } else if (ws.readyState === ws.OPEN) {
        ws.send(message);
        sent += 1;
      }
    }

    /** @param {unknown} value */
    const sendJson = (value) => send(JSON.stringify(value));

    function quote() {
      if (fragmenting) return;
      if (ws.bufferedAmount > BACKLOG) {
        skipped += 1;
        return;
      }
      sendJson({ type: "quotes", seq: sent + 1, at: new Date().toISOString(), quotes: market.quotes() });
    }

    /** @param {{parts?: unknown, every_ms?: unknown}} request */
    function fragment(request) {
      const parts = request.parts ?? 4;
      const every = request.every_ms ?? 50;
      if (!whole(parts, 2, 100) || !whole(every, 0, 5000)) {
        sendJson({ type: "error", detail: "parts is 2 to 100, every_ms is 0 to 5000." });
        return;
      }
      if (fragmenting) {
        sendJson({ type: "error", detail: "A message is already being sent in fragments." });
        return;
      }
      fragmenting = true;
      const text = JSON.stringify({ type: "fragmented", parts, text: "harbour ".repeat(parts * 4) });
      const size = Math.ceil(text.length / parts);
      let part = 0;
      const next = () => {
        if (ws.readyState !== ws.OPEN) return;
        const fin = part === parts - 1;
        ws.send(text.slice(part * size, (part + 1) * size), { fin });
        part += 1;
        if (!fin) {
          setTimeout(next, every);
          return;
        }
        sent += 1;
        fragmenting = false;
        for (const message of waiting.splice(0)) send(message);
      };
      next();
    }

    ws.on("message", (data, isBinary) => {
      received += 1;
      const bytes = /** @type {Buffer} */ (data);
      if (isBinary) {
        send(bytes);
        return;
      }
      const text = bytes.toString("utf8");
      let message;
      try {
        message = JSON.parse(text);
      } catch {
        message = null;
      }
      if (message?.type === "echo") send(text);
      else if (message?.type === "fragment") fragment(message);
      else sendJson({ type: "error", detail: 'Send {"type":"echo"} or {"type":"fragment"}.' });
    });

    const quoting = setInterval(quote, 1000 / rate);
    const pinging = setInterval(() => {
      if (unanswered >= 2) ws.terminate();
      else {
        unanswered += 1;
        ws.ping();
      }
    }, pingMs);
    ws.on("pong", () => {
      unanswered = 0;
    });
    ws.on("error", (error) => log({ event: "quotes_error", user: user.id, error: error.message }));
    ws.on("close", (code, reason) => {
      clearInterval(quoting);
      clearInterval(pinging);
      log({
        event: "quotes_closed",
        user: user.id,
        code,
        reason: reason.toString("utf8"),
        sent,
        received,
        skipped,
        ms: Date.now() - opened,
      });
    });
    quote();
  }
}

/**
 * @param {unknown} value
 * @param {number} min
 * @param {number} max
 * @returns {value is number}
 */
function whole(value, min, max) {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
}
