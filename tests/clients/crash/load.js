// @ts-check
// People and programs who use the site as long as it is there, and write down what they did and saw.
import { WebSocket } from "ws";
import { ask } from "../support/http.js";
import { sleep } from "../support/wait.js";

/** @typedef {import("./history.js").History} History */
/** @typedef {Awaited<ReturnType<typeof import("../support/site.js").startSite>>} Site */

/** How long a client goes on asking after it was refused, to see whether anything lives again. */
const AFTERLIFE_MS = 700;
const IDLE_MS = [700, 1000, 1500, 2500];
const ABSOLUTE_MS = [1500, 3000, 6000, 9000];

/**
 * A stream of chance that depends on nothing but the seed.
 * @param {number} seed
 */
export function chance(seed) {
  let state = seed >>> 0;
  // mulberry32 (Tommy Ettinger, public domain)
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { below: (/** @type {number} */ most) => Math.floor(next() * most), next };
}

/** One client after the other: starts a session, uses it, and finds out how it ends. */
export class Client {
  /**
   * @param {History} history
   * @param {() => Site | undefined} site the program as it runs at the moment, if it does
   * @param {ReturnType<typeof chance>} luck
   * @param {string} name
   */
  constructor(history, site, luck, name) {
    Object.assign(this, { history, site, luck, name });
    this.history = history;
    this.site = site;
    this.luck = luck;
    this.name = name;
    this.counted = 0;
    this.stopped = false;
  }

  /** Goes on until it is told to stop. */
  async live() {
    while (!this.stopped) {
      const session = await this.start();
      if (session) await this.use(session);
      else await sleep(50);
    }
  }

  pick = (/** @type {number[]} */ from) => from[this.luck.below(from.length)];

  async start() {
    const site = this.site();
    if (!site) return undefined;
    const [idleMs, absoluteMs] = [this.pick(IDLE_MS), this.pick(ABSOLUTE_MS)];
    const sent = Date.now();
    try {
      const { id, token } = await site.start({ subject: this.name, idle: `${idleMs}ms`, absolute: `${absoluteMs}ms` });
      this.history.sessions.push({ id, idleMs, absoluteMs, sent, received: Date.now() });
      return { id, token, refusedAt: 0 };
    } catch {
      // Killed in the middle of it: it may have started, and nobody knows of it.
      return undefined;
    }
  }

  /** @param {{id: string, token: string, refusedAt: number}} session */
  async use(session) {
    const pace = this.pick([20, 60, 200, 500]);
    const idles = this.luck.below(3) === 0;
    const revokes = this.luck.below(4) === 0;
    const begun = Date.now();
    /** @type {WebSocket | undefined} */
    let socket;
    while (!this.stopped && (session.refusedAt === 0 || Date.now() < session.refusedAt + AFTERLIFE_MS)) {
      const used = Date.now() - begun;
      // Some stop using it, but keep asking.
      const active = !(idles && used > 400) && this.luck.below(3) > 0;
      if (revokes && used > 300 && session.refusedAt === 0 && this.luck.below(8) === 0) await this.revoke(session);
      else if (this.luck.below(12) === 0 && socket?.readyState !== WebSocket.OPEN) socket = this.connect(session);
      else if (socket?.readyState === WebSocket.OPEN && this.luck.below(3) === 0) this.frame(session, socket);
      else if (this.luck.below(6) === 0) await this.checkByApi(session, active);
      else await this.request(session, active);
      await sleep(this.luck.below(pace * 2));
      if (used > 20_000) break;
    }
    socket?.terminate();
  }

  /** @param {{id: string}} session @param {boolean} active */
  noted(session, active) {
    const name = `${this.name}-${this.counted++}`;
    const request = { name, session: session.id, active, sent: Date.now(), received: Infinity, passed: false, refused: false };
    this.history.requests.push(request);
    return request;
  }

  /**
   * A refusal that says why is an end that was told.
   * @param {{id: string, refusedAt: number}} session @param {string | undefined} reason @param {string | undefined} endedAt
   */
  refused(session, reason, endedAt) {
    session.refusedAt ||= Date.now();
    if (!reason) return;
    const at = endedAt === undefined ? undefined : Date.parse(endedAt);
    this.history.told.push({ session: session.id, reason, endedAt: at, received: Date.now() });
  }

  /** @param {{id: string, token: string, refusedAt: number}} session @param {boolean} active */
  async request(session, active) {
    const site = this.site();
    if (!site) return;
    const request = this.noted(session, active);
    try {
      const answer = await ask(`${site.url}/${active ? "" : "passive/"}${request.name}`, {
        headers: { Authorization: `Bearer ${session.token}` },
      });
      request.received = Date.now();
      if (answer.status === 200) request.passed = true;
      if (answer.status !== 401) return;
      request.refused = true;
      const { reason, ended_at: endedAt } = answer.json();
      this.refused(session, reason, endedAt);
    } catch {
      request.received = Date.now();
    }
  }

  /** @param {{id: string, token: string, refusedAt: number}} session @param {boolean} active */
  async checkByApi(session, active) {
    const site = this.site();
    if (!site) return;
    const request = this.noted(session, active);
    try {
      const answer = await site.api("checker", "POST /v1/check", { token: session.token, passive: !active });
      request.received = Date.now();
      if (answer.status !== 200) return;
      const { allow, reason, ended_at: endedAt } = answer.json();
      request.passed = allow;
      request.refused = !allow;
      if (!allow) this.refused(session, reason, endedAt);
    } catch {
      request.received = Date.now();
    }
  }

  /** @param {{id: string, token: string, refusedAt: number}} session */
  async revoke(session) {
    const site = this.site();
    if (!site) return;
    const order = { session: session.id, sent: Date.now(), received: Infinity, acknowledged: false };
    this.history.orders.push(order);
    try {
      const answer = await site.api("operator", `DELETE /v1/sessions/${session.id}?cause=crash-loop`);
      order.received = Date.now();
      order.acknowledged = answer.status === 200;
    } catch {
      order.received = Date.now();
    }
  }

  /** @param {{id: string, token: string, refusedAt: number}} session */
  connect(session) {
    const site = this.site();
    if (!site) return undefined;
    const request = this.noted(session, true);
    const socket = new WebSocket(`${site.url.replace("http:", "ws:")}/socket/${request.name}`, {
      headers: { Authorization: `Bearer ${session.token}` },
    });
    const over = () => (request.received = Math.min(request.received, Date.now()));
    socket.on("open", () => {
      over();
      request.passed = true;
    });
    socket.on("error", over);
    socket.on("close", (code, reason) => {
      over();
      if (code === 3008) this.refused(session, reason.toString(), undefined);
    });
    socket.on("unexpected-response", (_, response) => {
      over();
      request.refused = response.statusCode === 401;
      response.resume();
      socket.terminate();
    });
    return socket;
  }

  /** A frame is passive; the application says which it has seen. @param {{id: string}} session @param {WebSocket} socket */
  frame(session, socket) {
    const request = this.noted(session, false);
    socket.send(request.name);
    request.received = request.sent;
  }
}
