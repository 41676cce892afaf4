// @ts-check
// Autobahn's WebSocket suite against npm `ws`, twice: straight, and through the gateway. What it thinks of each case must be the
// same, close codes included: the gateway relays bytes, whatever they are.
//
// `cargo xtask autobahn` runs all of it, which takes many minutes, and on a machine that is busy hours, since each case waits for answers
// a thousand times; without more, a part of it is run, or what `AUTOBAHN=9.3.*,6.17.3`
// chooses. The suite needs Python 2.7.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import { later } from "./support/later.js";
import { ROOT, folder, run } from "./support/program.js";
import { startSite } from "./support/site.js";

/** The interpreter that has the suite; xtask puts it there. */
const PYTHON = path.join(ROOT, ".venv27/bin/python");
const ALL = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*"];
/** Without the long ones: of 9, 12 and 13 the smallest messages of each kind. */
const SOME = [...ALL.slice(0, 7), "9.1.1", "9.2.1", "10.*", "12.1.1", "12.2.1", ...[1, 2, 3, 4, 5, 6, 7].map((n) => `13.${n}.1`)];
const CHOSEN = process.env.AUTOBAHN;
const CASES = CHOSEN === "all" ? ALL : (CHOSEN?.split(",") ?? SOME);

/** An echo with compression, as Autobahn's instructions for servers ask for. @param {import("./support/later.js").Owner} owner */
async function startEcho(owner) {
  const server = http.createServer();
  // The suite sends more fragments than `ws` takes by itself.
  const bounds = { maxPayload: 64 * 1024 * 1024, maxFragments: 0, maxBufferedChunks: 0 };
  const sockets = new WebSocketServer({ server, perMessageDeflate: true, ...bounds });
  sockets.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("message", (data, binary) => socket.send(data, { binary }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
  });
  return /** @type {import("node:net").AddressInfo} */ (server.address()).port;
}

test("Autobahn's verdicts are the same through the gateway", { skip: !existsSync(PYTHON) && "needs Python 2.7: cargo xtask autobahn", timeout: 4 * 3_600_000 }, async (t) => {
  const echo = await startEcho(t);
  const site = await startSite(t, { upstream: `http://127.0.0.1:${echo}`, idle: "3600s", absolute: "7200s", form: false });
  const { token } = await site.start({ subject: "ada" });
  const servers = { straight: `ws://127.0.0.1:${echo}`, gateway: site.url.replace("http", "ws") };

  /** @type {Record<string, number>} */
  const counts = {};
  const { straight, different } = await compare(t, servers, token, CASES);
  for (const { behavior } of Object.values(straight)) counts[behavior] = (counts[behavior] ?? 0) + 1;
  t.diagnostic(`${Object.keys(straight).length} cases: ${JSON.stringify(counts)}`);
  const failed = Object.keys(straight).filter((name) => straight[name].behavior === "FAILED");
  t.diagnostic(`failed by the server itself, straight: ${failed.join(", ") || "none"}`);
  assert.ok(Object.keys(straight).length >= (CASES === SOME || CASES === ALL ? 250 : CASES.length), "the suite was run");

  // The suite gives each side a second to close, which on a busy machine either may miss. What differs by itself differs again.
  let remaining = different;
  for (let again = 0; again < 2 && remaining.length > 0; again += 1) {
    t.diagnostic(`asked again: ${remaining.join("; ")}`);
    const names = remaining.map((line) => line.split(":")[0]);
    remaining = (await compare(t, servers, token, names)).different;
  }
  assert.deepEqual(remaining, []);
});

/** @typedef {Record<string, {behavior: string, behaviorClose: string, remoteCloseCode: number | null}>} Verdicts */

/**
 * The suite's verdicts on these cases: those without the gateway, and a line for each that is another one through it.
 * @param {import("./support/later.js").Owner} owner
 * @param {Record<"straight" | "gateway", string>} servers
 * @param {string} token
 * @param {string[]} cases
 */
async function compare(owner, servers, token, cases) {
  const dir = await folder(owner);
  const settings = path.join(dir, "settings.json");
  const agents = Object.entries(servers).map(([agent, url]) => ({ agent, url }));
  await writeFile(
    settings,
    JSON.stringify({ outdir: dir, servers: agents, cases, "exclude-cases": [], "exclude-agent-cases": {} }),
  );
  const fuzz = path.join(ROOT, "tests/clients/autobahn/fuzz.py");
  const ran = await run(PYTHON, [fuzz, settings], { env: { NIGHTLATCH_TOKEN: token } });
  assert.equal(ran.code, 0, ran.stdout.slice(-2000) + ran.stderr.slice(-2000));
  /** @type {Record<"straight" | "gateway", Verdicts>} */
  const { straight, gateway } = JSON.parse(await readFile(path.join(dir, "index.json"), "utf8"));
  const words = (/** @type {Verdicts[string]} */ { behavior, behaviorClose, remoteCloseCode }) =>
    `${behavior}, closed ${behaviorClose} with ${remoteCloseCode}`;
  const different = Object.keys(straight)
    .filter((name) => words(straight[name]) !== words(gateway[name]))
    .map((name) => `${name}: straight ${words(straight[name])}; through the gateway ${words(gateway[name])}`);
  return { straight, different };
}
