// @ts-check
// The desk put together: what answers which route.
import { createServer } from "node:http";
import { createAudit } from "./audit.js";
import { createDeskSessions } from "./desk-sessions.js";
import { createDocuments } from "./documents.js";
import { Problem, prefersHtml, readFields, sendJson, sendProblem, wholeNumber } from "./http.js";
import { createMarket } from "./market.js";
import { createNews } from "./news.js";
import { createNotifications } from "./notifications.js";
import { createOrders, LONGEST_SETTLE_MS } from "./orders.js";
import { createPage } from "./page.js";
import { createPositions } from "./positions.js";
import { createQuotes } from "./quotes.js";
import { createReport } from "./report.js";
import { createWho, refuseForeignSite, requireRole } from "./who.js";

/**
 * @typedef {object} Settings
 * @property {import("./log.js").Log} log
 * @property {string} [userHeader] the header that names the user
 * @property {{id: string, role: import("./who.js").Role}[]} [users] besides those the desk knows
 * @property {string} [signOutUrl] where the page's sign-out form is posted
 * @property {boolean} [revealHeaders] whether /api/whoami tells every header it received
 * @property {number} [newsEveryMs]
 * @property {number} [seed]
 */

/**
 * @typedef {object} Call
 * @property {import("node:http").IncomingMessage} req
 * @property {import("node:http").ServerResponse} res
 * @property {URLSearchParams} query
 * @property {string[]} parts what the route's pattern caught
 */

/** @typedef {Call & {user: import("./who.js").User}} UserCall */

/** @param {Settings} settings */
export function createDesk(settings) {
  const { log, seed = 20260105 } = settings;
  const who = createWho(settings);
  const audit = createAudit();
  const market = createMarket({ seed });
  const notifications = createNotifications();
  const positions = createPositions({ market, who });
  const orders = createOrders({ market, positions, notifications, audit });
  const quotes = createQuotes({ market, log });
  const news = createNews({ log, everyMs: settings.newsEveryMs ?? 2_000 });
  const report = createReport({ market, log, seed });
  const documents = createDocuments({ log, audit });
  const deskSessions = createDeskSessions();
  const page = createPage({ market, signOutUrl: settings.signOutUrl });

  /**
   * @typedef {object} Route
   * @property {string} method
   * @property {RegExp} path
   * @property {(call: UserCall) => unknown} answer
   */
  /** @type {Route[]} */
  const routes = [
    {
      method: "GET",
      path: /^\/$/,
      answer({ req, res, user }) {
        const cookie = deskSessions.open(req, user);
        if (cookie) audit.add(user.id, "opened the desk in a new browser");
        page.serve(res, user, cookie);
      },
    },
    {
      method: "GET",
      path: /^\/api\/whoami$/,
      answer({ req, res, user }) {
        const seen = deskSessions.seen(req);
        sendJson(res, 200, {
          user: user.id,
          name: user.name,
          role: user.role,
          desk_session: seen.value,
          desk_session_user: seen.owner,
          ...(settings.revealHeaders ? { headers: req.headers, raw_headers: req.rawHeaders } : {}),
        });
      },
    },
    {
      method: "GET",
      path: /^\/api\/positions$/,
      answer({ res, user }) {
        requireRole(user, "trader", "supervisor");
        sendJson(res, 200, { as_of: new Date().toISOString(), positions: positions.list(user) });
      },
    },
    {
      method: "GET",
      path: /^\/api\/orders$/,
      answer({ res, user }) {
        requireRole(user, "trader", "supervisor");
        sendJson(res, 200, { orders: orders.list(user) });
      },
    },
    {
      method: "POST",
      path: /^\/api\/orders$/,
      async answer({ req, res, user, query }) {
        requireRole(user, "trader");
        const settleMs = wholeNumber(query, "settle_ms", { default: 0, min: 0, max: LONGEST_SETTLE_MS });
        const order = await orders.place(user, await readFields(req), settleMs);
        if (prefersHtml(req)) {
          res.writeHead(303, { Location: `/?order=${order.id}#orders`, "Cache-Control": "no-store" });
          res.end();
        } else {
          sendJson(res, 201, order);
        }
      },
    },
    {
      method: "POST",
      path: /^\/api\/orders\/([\w-]{1,40})\/(approve|reject)$/,
      answer({ req, res, user, parts }) {
        requireRole(user, "supervisor");
        req.resume();
        sendJson(res, 200, orders.decide(user, parts[0], parts[1] === "approve" ? "approve" : "reject"));
      },
    },
    { method: "GET", path: /^\/api\/news$/, answer: ({ req, res, user }) => news.serve(req, res, user) },
    {
      method: "GET",
      path: /^\/reports\/daily\.csv$/,
      answer: ({ res, user, query }) => report.serve(res, query, user),
    },
    {
      method: "GET",
      path: /^\/api\/documents$/,
      answer: ({ res, user }) => sendJson(res, 200, { documents: documents.list(user) }),
    },
    {
      method: "POST",
      path: /^\/api\/documents$/,
      answer: ({ req, res, user, query }) => documents.upload(req, res, query, user),
    },
    {
      method: "GET",
      path: /^\/api\/notifications$/,
      answer({ res, user, query }) {
        const after = wholeNumber(query, "after", { default: 0, min: 0, max: 999_999_999 });
        sendJson(res, 200, { notifications: notifications.list(user, after) });
      },
    },
    {
      method: "GET",
      path: /^\/api\/users$/,
      answer({ res, user }) {
        requireRole(user, "administrator");
        sendJson(res, 200, { users: who.all() });
      },
    },
    {
      method: "GET",
      path: /^\/api\/audit$/,
      answer({ res, user }) {
        requireRole(user, "administrator");
        sendJson(res, 200, { entries: audit.list() });
      },
    },
  ];

  const server = createServer((req, res) => {
    const started = performance.now();
    const path = pathOf(req);
    res.on("error", () => {});
    res.on("close", () =>
      log({
        event: "request",
        method: req.method,
        path,
        status: res.headersSent ? res.statusCode : null,
        ms: Math.round(performance.now() - started),
        ...(res.writableFinished ? {} : { aborted: true }),
      }),
    );
    Promise.resolve()
      .then(() => answer(req, res, path))
      .catch((error) => {
        const problem = error instanceof Problem ? error : new Problem(500, "Something went wrong at the desk");
        if (problem.status === 500) log({ event: "error", path, error: String(error?.stack ?? error) });
        if (res.headersSent || res.destroyed) res.destroy();
        else sendProblem(req, res, problem);
      });
  });

  /**
   * @param {import("node:http").IncomingMessage} req
   * @param {import("node:http").ServerResponse} res
   * @param {string} path
   */
  async function answer(req, res, path) {
    const method = req.method === "HEAD" ? "GET" : (req.method ?? "");
    if (path === "/healthz" && method === "GET") {
      sendJson(res, 200, { status: "ok" });
      return;
    }
    who.requireConfigured();
    if (path.startsWith("/assets/") && method === "GET") {
      page.asset(req, res, path.slice("/assets/".length));
      return;
    }
    const user = who.identify(req);
    if (method !== "GET") refuseForeignSite(req);

    /** @type {string[]} */
    const allowed = [];
    for (const route of routes) {
      const match = route.path.exec(path);
      if (!match) continue;
      if (route.method !== method || req.method === "HEAD") {
        allowed.push(route.method);
        continue;
      }
      await route.answer({ req, res, user, query: queryOf(req), parts: match.slice(1) });
      return;
    }
    if (allowed.length > 0) {
      const list = allowed.join(", ");
      throw new Problem(405, "Not possible here", `This address takes ${list}.`, { headers: { Allow: list } });
    }
    if (path === "/ws/quotes") {
      throw new Problem(426, "A WebSocket is needed here", undefined, { headers: { Upgrade: "websocket" } });
    }
    throw new Problem(404, "Nothing here", "There is no page at this address.");
  }

  server.on("upgrade", (req, socket, head) => {
    const started = performance.now();
    const path = pathOf(req);
    let status = 101;
    socket.on("error", () => {});
    try {
      who.requireConfigured();
      const user = who.identify(req);
      if (path !== "/ws/quotes") throw new Problem(404, "Nothing here", "There is no socket at this address.");
      if (String(req.headers.upgrade).toLowerCase() !== "websocket" || req.method !== "GET") {
        throw new Problem(400, "Not a WebSocket", "Only an upgrade to websocket is possible here.");
      }
      refuseForeignSite(req);
      quotes.upgrade(req, socket, head, queryOf(req), user);
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem(500, "Something went wrong at the desk");
      if (problem.status === 500) log({ event: "error", path, error: String(error) });
      status = problem.status;
      const body = JSON.stringify(problem.body()) + "\n";
      socket.end(
        `HTTP/1.1 ${problem.status} ${problem.title}\r\nContent-Type: application/problem+json; charset=utf-8\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
    log({ event: "request", method: req.method, path, status, ms: Math.round(performance.now() - started) });
  });

  server.on("clientError", (_error, socket) => {
    if (socket.writable) {
      socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
  });
  // Longer than a proxy keeps its own idle connections, so that it is never us who close one it is about to use.
  server.keepAliveTimeout = 75_000;
  // A slow upload may take its time; the headers of a request may not (60 s, Node's own default).
  server.requestTimeout = 15 * 60_000;

  return {
    server,

    /** @param {number} port */
    async listen(port) {
      await new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, "127.0.0.1", () => resolve(undefined));
      });
      const address = /** @type {import("node:net").AddressInfo} */ (server.address());
      return `http://127.0.0.1:${address.port}`;
    },

    /** Closes what is open, and waits no longer than a second for anyone. */
    async close() {
      market.close();
      news.close();
      quotes.close();
      const closed = new Promise((resolve) => server.close(() => resolve(undefined)));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), 500);
      const latest = new Promise((resolve) => setTimeout(resolve, 1000).unref());
      await Promise.race([closed, latest]);
      clearTimeout(late);
    },
  };
}

/** @param {import("node:http").IncomingMessage} req */
function pathOf(req) {
  return (req.url ?? "/").split("?", 1)[0];
}

/** @param {import("node:http").IncomingMessage} req */
function queryOf(req) {
  const url = req.url ?? "/";
  const mark = url.indexOf("?");
  return new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1));
}
