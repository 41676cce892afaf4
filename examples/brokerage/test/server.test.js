// @ts-check
// The program as it is started: one line when ready, and an end when it should end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import WebSocket from "ws";
import { HEADER } from "./start.js";

const PROGRAM = fileURLToPath(new URL("../server.js", import.meta.url));

/**
 * @param {import("node:test").TestContext} t
 * @param {string[]} args
 */
function start(t, args) {
  const child = spawn(process.execPath, [PROGRAM, ...args]);
  t.after(() => child.kill("SIGKILL"));
  /** @type {string[]} */
  const out = [];
  let errors = "";
  createInterface(child.stdout).on("line", (line) => out.push(line));
  child.stderr.on("data", (text) => (errors += text));
  const ready = once(child.stdout, "data").then(([text]) => JSON.parse(String(text)).listening);
  const exited = once(child, "exit").then(([code]) => code);
  return { child, out, ready, exited, errors: () => errors };
}

test("says where it listens in exactly one line, on the loopback only", async (t) => {
  const { child, out, ready, exited, errors } = start(t, ["--user-header", HEADER]);
  const url = await ready;
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const whoami = await fetch(`${url}/api/whoami`, { headers: { [HEADER]: "trader" } });
  assert.equal((await whoami.json()).user, "trader");
  child.kill("SIGTERM");
  assert.equal(await exited, 0);
  assert.deepEqual(out, [JSON.stringify({ listening: url })]);
  for (const line of errors().trimEnd().split("\n")) assert.equal(typeof JSON.parse(line).at, "string");
});

test("SIGTERM closes what is open and does not wait for it", async (t) => {
  const { child, ready, exited } = start(t, ["--user-header", HEADER]);
  const url = await ready;
  const headers = { [HEADER]: "trader" };
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/quotes`, { headers });
  await once(socket, "open");
  const report = await fetch(`${url}/reports/daily.csv`, { headers });
  const cut = assert.rejects(report.text());
  const order = assert.rejects(
    fetch(`${url}/api/orders?settle_ms=60000`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({ symbol: "CSTL", side: "buy", quantity: 1 }),
    }),
  );
  const began = Date.now();
  child.kill("SIGTERM");
  const [code] = await once(socket, "close");
  assert.equal(code, 1001);
  assert.equal(await exited, 0);
  assert.ok(Date.now() - began < 2500);
  await Promise.all([cut, order]);
});

test("leaves with its parent when asked to, and only then", async (t) => {
  const bound = start(t, ["--user-header", HEADER, "--exit-with-parent"]);
  await bound.ready;
  bound.child.stdin.end();
  assert.equal(await bound.exited, 0);

  const free = start(t, ["--user-header", HEADER]);
  const url = await free.ready;
  free.child.stdin.end();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
});

test("wrong usage is told, with exit code 2", async (t) => {
  for (const args of [
    ["--port", "http"],
    ["--port", "65536"],
    ["--unknown"],
    ["--user-header", "two words"],
    ["--sign-out-url", "//elsewhere.example/"],
    ["--sign-out-url", "leave"],
    ["--user", "ada"],
    ["--user", "ada=king"],
    ["extra"],
  ]) {
    const { exited, errors, out } = start(t, args);
    assert.equal(await exited, 2, args.join(" "));
    assert.match(errors(), /usage: node server\.js/);
    assert.deepEqual(out, []);
  }
});

test("a port that is taken is told, with exit code 3", async (t) => {
  const first = start(t, []);
  const port = new URL(await first.ready).port;
  const second = start(t, ["--port", port]);
  assert.equal(await second.exited, 3);
  assert.match(second.errors(), /Cannot listen/);
});

test("bytes that are not HTTP are answered and do no harm", async (t) => {
  const { ready } = start(t, ["--user-header", HEADER]);
  const url = await ready;
  const raw = connect(Number(new URL(url).port), "127.0.0.1");
  raw.write("\x16\x03\x01 not http\r\n\r\n");
  const [answer] = await once(raw, "data");
  assert.match(String(answer), /^HTTP\/1\.1 400 /);
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
});
