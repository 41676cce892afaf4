// @ts-check
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import WebSocket from "ws";
import { createMarket } from "../market.js";
import { HEADER, eventually, startDesk } from "./start.js";

/**
 * @param {string} url
 * @param {string} [query]
 */
async function open(url, query = "") {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/quotes${query}`, { headers: { [HEADER]: "trader" } });
  /** @type {any[]} */
  const messages = [];
  socket.on("message", (data, binary) => messages.push(binary ? data : JSON.parse(String(data))));
  await once(socket, "open");
  return {
    socket,
    messages,
    /** @param {string} type */
    got: (type) => eventually(() => messages.find((message) => message.type === type), type),
  };
}

/**
 * @param {string} url
 * @param {Record<string, string>} headers
 * @param {string} [path]
 */
async function refused(url, headers, path = "/ws/quotes") {
  const socket = new WebSocket(url.replace("http", "ws") + path, { headers });
  socket.on("error", () => {});
  const [, response] = await once(socket, "unexpected-response");
  response.resume();
  return response.statusCode;
}

test("quotes come, about four a second, compressed", async (t) => {
  const { url, logged } = await startDesk(t);
  const { socket, messages } = await open(url);
  assert.equal(socket.extensions, "permessage-deflate");
  const began = Date.now();
  await eventually(() => messages.length >= 5, "five quotes");
  assert.ok(Date.now() - began > 700, "the first at once, then one each 250 ms");
  assert.deepEqual(messages.slice(0, 4).map((message) => message.seq), [1, 2, 3, 4]);
  assert.equal(messages[0].quotes.length, 8);
  assert.deepEqual(Object.keys(messages[0].quotes[0]), ["symbol", "last", "change"]);
  socket.close(4000, "enough");
  const closed = await logged("quotes_closed");
  assert.equal(closed.code, 4000);
  assert.equal(closed.reason, "enough");
  assert.equal(closed.user, "trader");
  assert.ok(closed.sent >= 4);
});

test("the rate can be chosen", async (t) => {
  const { url } = await startDesk(t);
  const { socket, messages } = await open(url, "?rate=100");
  await eventually(() => messages.length > 40, "forty quotes");
  socket.close();
  for (const rate of ["0", "201", "fast", "-1", ""]) {
    assert.equal(await refused(url, { [HEADER]: "trader" }, `/ws/quotes?rate=${rate}`), 400, rate);
  }
});

test("an echo comes back as it went, binary too", async (t) => {
  const { url, logged } = await startDesk(t);
  const { socket, messages, got } = await open(url);
  socket.send(JSON.stringify({ type: "echo", nested: { text: "\u00e9\u{1f512}" } }));
  assert.deepEqual(await got("echo"), { type: "echo", nested: { text: "\u00e9\u{1f512}" } });
  const bytes = Buffer.from([0, 255, 128]);
  socket.send(bytes);
  assert.deepEqual(await eventually(() => messages.find((each) => Buffer.isBuffer(each)), "bytes"), bytes);
  socket.close();
  assert.equal((await logged("quotes_closed")).received, 2);
});

test("one message can be asked for in fragments; nothing but control frames comes between", async (t) => {
  const { url } = await startDesk(t);
  const { socket, messages, got } = await open(url, "?rate=100&ping_ms=100");
  let pings = 0;
  socket.on("ping", () => (pings += 1));
  await got("quotes");
  socket.send(JSON.stringify({ type: "fragment", parts: 5, every_ms: 80 }));
  socket.send(JSON.stringify({ type: "echo", n: 1 }));
  socket.send(JSON.stringify({ type: "fragment" }));
  const message = await got("fragmented");
  assert.equal(message.parts, 5);
  assert.equal(message.text, "harbour ".repeat(20));
  await got("echo");
  assert.match((await got("error")).detail, /already being sent/);
  assert.ok(messages.findIndex((each) => each.type === "echo") > messages.indexOf(message));
  assert.ok(pings >= 2);
  const before = messages.length;
  await eventually(() => messages.length > before + 5, "quotes afterwards");
  socket.close();
});

test("what cannot be understood is answered, and the socket stays open", async (t) => {
  const { url } = await startDesk(t);
  const { socket, messages } = await open(url);
  for (const text of ["", "{", "null", "7", '{"type":"other"}', '{"type":"fragment","parts":1}', '{"type":"fragment","every_ms":"x"}']) {
    socket.send(text);
  }
  await eventually(() => messages.filter((each) => each.type === "error").length === 7, "seven errors");
  assert.equal(socket.readyState, WebSocket.OPEN);
  socket.send("x".repeat(1024 * 1024 + 1));
  const [code] = await once(socket, "close");
  assert.equal(code, 1009);
});

test("a client that does not answer pings is let go", async (t) => {
  const { url, logged } = await startDesk(t);
  const silent = new WebSocket(`${url.replace("http", "ws")}/ws/quotes?ping_ms=100`, {
    headers: { [HEADER]: "trader" },
    autoPong: false,
  });
  const [code] = await once(silent, "close");
  assert.equal(code, 1006);
  assert.equal((await logged("quotes_closed")).code, 1006);
});

test("an upgrade without a user, to another place, from another site, or to another protocol is refused", async (t) => {
  const { url } = await startDesk(t);
  assert.equal(await refused(url, {}), 403);
  assert.equal(await refused(url, { [HEADER]: "stranger" }), 403);
  assert.equal(await refused(url, { [HEADER]: "trader" }, "/ws/other"), 404);
  assert.equal(await refused(url, { [HEADER]: "trader", "Sec-Fetch-Site": "cross-site" }), 403);
  const raw = connect(Number(new URL(url).port), "127.0.0.1");
  raw.write(`GET /ws/quotes HTTP/1.1\r\nHost: x\r\n${HEADER}: trader\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n`);
  const [answer] = await once(raw, "data");
  assert.match(String(answer), /^HTTP\/1\.1 400 /);
  raw.destroy();
});

test("the same seed walks the same way, another one differently", () => {
  const walk = (/** @type {number} */ seed) => {
    const market = createMarket({ seed });
    market.close();
    for (let i = 0; i < 1000; i++) market.step();
    return market.quotes();
  };
  assert.deepEqual(walk(7), walk(7));
  assert.notDeepEqual(walk(7), walk(8));
  assert.ok(walk(7).every((quote) => quote.last > 0));
});
