// @ts-check
// npm `ws`: relayed byte for byte while the session lives, closed in order when it ends.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { inUse, signIn } from "./support/http.js";
import { shared } from "./support/later.js";
import { startDeskSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

const IDLE_MS = 4000;
const MIB = 1024 * 1024;
const ABSURD_US = 5_000_000;

describe("ws", { concurrency: 2 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startDeskSite>>} */
  let site;
  before(async () => {
    site = await startDeskSite(file, { idle: `${IDLE_MS}ms` });
  });

  async function signedIn() {
    const { cookie, token } = await signIn(site.url, "trader");
    return { cookie, session: await site.sessionOf(token) };
  }

  const positions = () => `${site.url}/api/positions`;
  const address = (query = "") => `${site.url.replace("http:", "ws:")}/ws/quotes${query}`;

  /**
   * An open socket, with what becomes of it.
   * @param {string} cookie
   * @param {{query?: string, perMessageDeflate?: boolean}} [options]
   */
  async function openSocket(cookie, { query, perMessageDeflate = false } = {}) {
    const socket = new WebSocket(address(query), { headers: { Cookie: cookie }, perMessageDeflate });
    /** @type {any[]} */
    const messages = [];
    /** @type {Buffer[]} */
    const binary = [];
    /** @type {Error[]} */
    const errors = [];
    socket.on("message", (data, isBinary) => {
      if (isBinary) binary.push(/** @type {Buffer} */ (data));
      else messages.push(JSON.parse(String(data)));
    });
    socket.on("error", (error) => errors.push(error));
    /** @type {Promise<{code: number, reason: string, at: number}>} */
    const closed = new Promise((resolve) =>
      socket.on("close", (code, reason) => resolve({ code, reason: String(reason), at: Date.now() })),
    );
    await eventually("the socket being open", () => {
      if (errors.length > 0) throw errors[0];
      return socket.readyState === WebSocket.OPEN;
    });
    return { socket, messages, binary, errors, closed };
  }

  for (const perMessageDeflate of [false, true]) {
    const name = perMessageDeflate ? "with permessage-deflate" : "without extensions";
    test(`${name}: whole, fragmented and large messages pass unchanged, then 3008 with the reason`, async () => {
      const { cookie, session } = await signedIn();
      const { socket, messages, binary, errors, closed } = await openSocket(cookie, { perMessageDeflate });
      assert.equal(socket.extensions, perMessageDeflate ? "permessage-deflate" : "");

      await inUse(positions(), cookie, async () => {
        socket.send(JSON.stringify({ type: "echo", text: "Hafen \u2693" }));
        // Half of it random: what cannot be compressed at all would grow beyond what the desk takes.
        const bytes = Buffer.concat([randomBytes(MIB / 2), Buffer.alloc(MIB / 2)]);
        socket.send(bytes);
        // In fragments on the way up, and in fragments on the way down.
        for (const [i, part] of ['{"type":"echo"', ',"text":"in ', 'three parts"}'].entries()) {
          socket.send(part, { fin: i === 2 });
        }
        await eventually("the echo of one MiB", () => binary.length === 1);
        assert.equal(digest(binary[0]), digest(bytes), "byte for byte");
        socket.send(JSON.stringify({ type: "fragment", parts: 6, every_ms: 10 }));
        const echoes = await eventually("both echoes", () => {
          const found = messages.filter(({ type }) => type === "echo");
          return found.length === 2 && found;
        });
        assert.deepEqual(echoes.map(({ text }) => text), ["Hafen \u2693", "in three parts"]);
        const fragmented = await eventually("the fragmented message", () => messages.find((m) => m.type === "fragmented"));
        assert.equal(fragmented.text, "harbour ".repeat(24));
      });

      const { code, reason } = await closed;
      assert.deepEqual([code, reason], [3008, "idle_timeout"]);
      assert.deepEqual(errors, []);
      const ended = await site.recorded(session, "session_ended");
      assert.equal(ended.ended_at, ended.last_activity + IDLE_MS, "frames are no activity");
      const cut = await site.recorded(session, "cut");
      assert.deepEqual([cut.channel, cut.route, cut.how], ["websocket", "WS /ws/quotes", "close 3008"]);
      assert.ok(messages.filter((m) => m.type === "quotes").every((m) => Date.parse(m.at) <= ended.ended_at));
    });
  }

  test("200 sockets of one session are all closed with 3008, on both sides of the gateway", async () => {
    const { cookie, session } = await signedIn();
    const sockets = await inUse(positions(), cookie, () =>
      Promise.all(Array.from({ length: 200 }, () => openSocket(cookie, { query: "?rate=1" }))),
    );
    const closed = await Promise.all(sockets.map((socket) => socket.closed));
    assert.deepEqual([...new Set(closed.map(({ code, reason }) => `${code} ${reason}`))], ["3008 idle_timeout"]);
    const ended = await site.recorded(session, "session_ended");
    assert.equal(ended.open, 200);
    const cuts = await eventually("200 cuts on the record", async () => {
      const found = (await site.record(session)).filter(({ what }) => what === "cut");
      return found.length >= 200 && found;
    });
    assert.equal(cuts.length, 200);
    for (const cut of cuts) {
      assert.equal(cut.ended_at, ended.ended_at);
      assert.ok(cut.lateness_us >= 0 && cut.lateness_us < ABSURD_US, `${cut.lateness_us} us late`);
    }
    await eventually("the desk hearing of all of them", () => {
      const told = site.desk.log().filter((entry) => entry.event === "quotes_closed" && entry.code === 3008);
      return told.length >= 200;
    });
  });

  test("a socket that is flooded while it is cut is closed or reset, and never gets half a frame as a whole one", async () => {
    const { cookie, session } = await signedIn();
    const sockets = await Promise.all(
      [false, true, false, true].map((perMessageDeflate) => openSocket(cookie, { query: "?rate=200", perMessageDeflate })),
    );
    const bytes = randomBytes(128 * 1024);
    const flood = setInterval(() => {
      for (const { socket } of sockets) if (socket.bufferedAmount < 4 * MIB) socket.send(bytes);
    }, 5);
    const closed = await Promise.all(sockets.map((socket) => socket.closed)).finally(() => clearInterval(flood));
    for (const [i, { code, reason }] of closed.entries()) {
      const { errors, binary, messages } = sockets[i];
      assert.ok(
        (code === 3008 && reason === "idle_timeout") || code === 1006,
        `closed in order or reset, not ${code} ${reason}`,
      );
      for (const error of errors) {
        const known = /** @type {NodeJS.ErrnoException} */ (error).code;
        assert.ok(known === "ECONNRESET" || known === "EPIPE", `no malformed frame: ${known} ${error}`);
      }
      assert.ok(messages.length > 0, "quotes came between the echoes");
      assert.ok(binary.every((one) => one.equals(bytes)), "what came is what was sent");
    }
    const ended = await site.recorded(session, "session_ended");
    assert.equal(ended.reason, "idle_timeout");
  });

  test("no socket opens after the end, and none without a session", async () => {
    const { cookie, session } = await signedIn();
    const answer = await site.api("operator", `DELETE /v1/sessions/${session}?cause=test`);
    assert.equal(answer.status, 200);
    for (const sent of [cookie, "nightlatch-loopback=", "other=1"]) {
      const socket = new WebSocket(address(), { headers: { Cookie: sent } });
      const error = await new Promise((resolve) => socket.on("error", resolve));
      assert.match(String(error), /Unexpected server response: 401/);
    }
  });

  test("an operator's end closes at once, with its own reason", async () => {
    const { cookie, session } = await signedIn();
    const { closed, messages } = await openSocket(cookie);
    await eventually("quotes", () => messages.length > 0);
    await site.api("operator", `DELETE /v1/sessions/${session}?cause=test`);
    const { code, reason } = await closed;
    assert.deepEqual([code, reason], [3008, "revoked"]);
  });
});

/** @param {Buffer} bytes */
const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
