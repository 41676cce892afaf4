// @ts-check
// `kill -9` of the real program under load, again and again on the same data: `node crash/loop.js [ROUNDS] [SEED]`.
//
// Clients use the site as long as it is there (load.js) and write down what they saw (history.js). At a moment that the seed chooses the
// program is killed and started again at once. Every few rounds, and in the end, the record is verified; in the end it is exported,
// read by code that is not ours (record.js), held against what the clients saw (checker.js) and against what its entries promise
// (proof/verify.py). Exit code 1 if anything is wrong.
import { appendFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { WebSocketServer } from "ws";
import { shared } from "../support/later.js";
import { ROOT, nightlatch, run } from "../support/program.js";
import { startSite } from "../support/site.js";
import { eventually, sleep } from "../support/wait.js";
import { check } from "./checker.js";
import { History } from "./history.js";
import { Client, chance } from "./load.js";
import { bySession, entriesOf } from "./record.js";

const CLIENTS = 14;
/** How long the program runs before it is killed, at the most: too short for anything to be safe from the crash, .. */
const UP_MOST_MS = 900;
/** .. but for one round in four, in which much is. */
const UP_LONG_MS = 3000;
const VERIFY_EVERY = 20;
/** What a busy machine adds to the second that a crash may cost: it holds up the thread that flushes activity every half second. */
const BUSY_MS = 500;
/** What crashes in a row may cost together beyond one's second: most come before the program has lived that long. */
const IN_A_ROW_MS = 3000;
/** After the last request, until every session has fallen due. */
const QUIET_MS = 3500;

const rounds = Number(process.argv[2] ?? 40);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000);
console.log(`${rounds} rounds, seed ${seed}`);
const luck = chance(seed);
const history = new History();
const dir = await mkdtemp(path.join(tmpdir(), "nightlatch-crash-"));
/** @type {(() => Promise<void>)[]} */
const undos = [];
const owner = shared((undo) => undos.push(undo));
/** @type {import("./load.js").Site | undefined} */
let site;

const upstream = await startUpstream();
const options = {
  upstream: upstream.url,
  dir,
  idle: "5s",
  absolute: "30s",
  form: false,
  app: `passive = ["GET /passive/**"]`,
};

const clients = Array.from({ length: CLIENTS }, (_, at) => new Client(history, () => site, chance(seed + 1 + at), `c${at}`));
const living = clients.map((client) => client.live());
let failed = "";
try {
  for (let round = 0; round < rounds; round += 1) await crash(round);
  site = await startSite(owner, options);
  await sleep(1000);
  for (const client of clients) client.stopped = true;
  await Promise.all(living);
  await sleep(QUIET_MS);
  await site.server.stop();
  await verify("at the end");
} catch (error) {
  failed = error instanceof Error ? (error.stack ?? error.message) : String(error);
  for (const client of clients) client.stopped = true;
}
const wrong = failed ? [failed] : await compare();
for (const undo of undos) await undo();
upstream.server.close();
upstream.server.closeAllConnections();
for (const line of wrong.slice(0, 40)) console.log(line);
console.log(wrong.length === 0 ? "nothing is wrong" : `${wrong.length} things are wrong; seed ${seed}, data left in ${dir}`);
if (wrong.length === 0) await rm(dir, { recursive: true, force: true });
process.exit(wrong.length === 0 ? 0 : 1);

/** @param {number} round */
async function crash(round) {
  // One kill in eight comes while the program starts.
  const early = luck.below(8) === 0;
  const begun = Date.now();
  /** @type {import("../support/program.js").Server | undefined} */
  let process;
  const starting = startSite(owner, { ...options, spawned: (server) => (process = server) });
  if (early) {
    starting.catch(() => {});
    await eventually("a process", () => process);
    await sleep(luck.below(120));
    if (process) await kill(process);
    return;
  }
  const now = await starting;
  site = now;
  const up = Date.now();
  await sleep(luck.below(4) === 0 ? UP_MOST_MS + luck.below(UP_LONG_MS - UP_MOST_MS) : luck.below(UP_MOST_MS));
  site = undefined;
  await kill(now.server);
  if (round % VERIFY_EVERY === VERIFY_EVERY - 1) {
    await verify(`after round ${round + 1}`);
    console.log(`round ${round + 1}: ${history.sessions.length} sessions, ${history.requests.length} requests, start ${up - begun} ms`);
  }
}

/** @param {import("../support/program.js").Server} server */
async function kill(server) {
  const from = Date.now();
  await server.stop("SIGKILL");
  history.kills.push({ from, to: Date.now() });
}

/** @param {string} when */
async function verify(when) {
  const { code, stdout, stderr } = await nightlatch("ledger", "verify", "--dir", path.join(dir, "data"));
  if (code !== 0) throw new Error(`the record does not verify ${when}:\n${stdout}${stderr}`);
}

async function compare() {
  const exported = path.join(dir, "export");
  const done = await nightlatch("ledger", "export", "--dir", path.join(dir, "data"), "--to", exported);
  if (done.code !== 0) return [done.stderr];
  const proof = [path.join(ROOT, "proof/verify.py"), exported, "--key", path.join(dir, "data/keys/ledger.vkey"), "--json"];
  const proved = await run("python3", proof);
  if (proved.code !== 0 && proved.code !== 1) return [proved.stderr];
  const { found } = JSON.parse(proved.stdout);
  const record = bySession(await entriesOf(exported));
  for (const request of history.requests) {
    if (upstream.seen.has(request.name)) request.passed = true;
  }
  const { wrong: seen, lostMs } = check(history, record, { busyMs: BUSY_MS, inARowMs: IN_A_ROW_MS });
  const wrong = [...found.map((/** @type {object} */ one) => JSON.stringify(one)), ...seen];
  const known = new Set(history.sessions.map(({ id }) => id));
  const all = (/** @type {Iterable<[string, {ends: unknown[]}]>} */ of) => [...of];
  for (const [id, { ends }] of all(record)) {
    if (ends.length === 0) wrong.push(`${id}: never-late: all have fallen due, and its end is not on the record`);
  }
  const acknowledged = history.orders.filter(({ acknowledged }) => acknowledged).length;
  console.log(
    `${history.kills.length} kills, ${known.size} sessions (${record.size} on record), ${history.requests.length} requests ` +
      `(${history.requests.filter(({ passed }) => passed).length} passed), ${history.told.length} ends told, ` +
      `${acknowledged} orders acknowledged; crashes in a row cost at most ${lostMs} ms of activity`,
  );
  if (process.env.NIGHTLATCH_HISTORY) appendFileSync(process.env.NIGHTLATCH_HISTORY, JSON.stringify(history));
  return wrong;
}

/** An application that knows nothing and remembers what it has seen. */
async function startUpstream() {
  const seen = new Set();
  const last = (/** @type {string | undefined} */ url) => url?.slice(url.lastIndexOf("/") + 1);
  const server = http.createServer((request, response) => {
    seen.add(last(request.url));
    response.end("here\n");
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => {
    seen.add(last(request.url));
    socket.on("error", () => {});
    socket.on("message", (data) => void seen.add(data.toString()));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(undefined)));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { server, seen, url: `http://127.0.0.1:${address.port}` };
}
