// @ts-check
// Somebody who sends credentials that open nothing, as fast as he can: ended ones, invented ones, forged tickets. Disk, log, memory and
// metrics must not grow with that, and a refusal must not cost more than what it keeps out.
import assert from "node:assert/strict";
import { readFile, readdir, stat } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { ask } from "./support/http.js";
import { later } from "./support/later.js";
import { startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";
import { answersIn } from "./support/wire.js";

const MANY = 20_000;
const SESSIONS = 50;
const LINES = 4;
const AT_ONCE = 50;

const invented = () => `nlt_${randomBytes(32).toString("base64url")}`;

test("floods of credentials that open nothing fill neither disk nor log nor memory", { timeout: 180_000 }, async (t) => {
  const upstream = http.createServer((_, response) => response.end("ok"));
  await new Promise((resolve) => upstream.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(t, () => upstream.close());
  const { port } = /** @type {net.AddressInfo} */ (upstream.address());
  const site = await startSite(t, { upstream: `http://127.0.0.1:${port}`, idle: "300s", absolute: "600s", form: false });
  const live = await site.start({ subject: "ada" });
  const ended = [];
  for (let n = 0; n < SESSIONS; n += 1) ended.push(await site.start({ subject: "bob" }));
  for (const { id } of ended) await site.api("operator", `DELETE /v1/sessions/${id}`);

  const cookie = (/** @type {string} */ token) => `Cookie: nightlatch-loopback=${token}`;
  /** @type {Record<string, {status: number, field: (n: number) => string}>} */
  const floods = {
    granted: { status: 200, field: () => cookie(live.token) },
    "an ended session": { status: 401, field: (n) => cookie(ended[n % SESSIONS].token) },
    "an ended session, as a bearer": { status: 401, field: (n) => `Authorization: Bearer ${ended[n % SESSIONS].token}` },
    "invented, another each time": { status: 401, field: () => cookie(invented()) },
    "no credential at all": { status: 401, field: () => cookie(`nlt_${randomBytes(12).toString("base64url")}`) },
    "a forged ticket": { status: 401, field: () => `Cookie: nightlatch-loopback-ended=${randomBytes(48).toString("base64url")}` },
  };
  // What is kept for each ended session is there before the count begins, and so is what is taken once.
  for (const flood of Object.values(floods)) await send(site.url, 500, flood);
  const index = async () => (await site.api("auditor", "GET /v1/ledger/entries?limit=1000")).json().entries.length;
  const refusals = async () =>
    (await site.api("auditor", "GET /v1/ledger/entries?limit=1000")).json().entries.filter(
      (/** @type {{entry: {what: string}}} */ { entry }) => entry.what === "refused_after_end",
    ).length;
  await eventually("the first refusal of each session on the record", async () => (await refusals()) === SESSIONS);
  await eventually("the first flush of activity, which takes its file's space in one piece", async () => (await stat(path.join(site.data, "slots"))).size > 0);
  const before = { ...(await weigh(site)), entries: await index() };

  /** @type {Record<string, number>} */
  const cost = {};
  for (const [name, flood] of Object.entries(floods)) {
    const spent = await cpuMs(site.server.child.pid);
    await send(site.url, MANY, flood);
    cost[name] = ((await cpuMs(site.server.child.pid)) - spent) / MANY;
  }
  const after = { ...(await weigh(site)), entries: await index() };

  t.diagnostic(`before: ${JSON.stringify(before)}`);
  t.diagnostic(`after ${MANY} of each: ${JSON.stringify(after)}`);
  for (const [name, each] of Object.entries(cost)) t.diagnostic(`${(each * 1000).toFixed(0)} us of processor: ${name}`);
  assert.equal(after.entries, before.entries, "entries");
  assert.equal(await refusals(), SESSIONS, "one for each ended session, however often it was tried");
  assert.equal(after.log, before.log, "bytes of log");
  assert.equal(after.series, before.series, "series of metrics");
  assert.equal(after.people, before.people, "bytes of people");
  assert.ok(after.disk - before.disk < 64 * 1024, `disk grew by ${after.disk - before.disk} bytes`);
  assert.ok(after.memoryKb - before.memoryKb < 16 * 1024, `memory grew by ${after.memoryKb - before.memoryKb} KiB`);
  for (const [name, each] of Object.entries(cost)) {
    assert.ok(each < 1.5 * cost.granted, `${name}: ${each} ms each, and a request that passes ${cost.granted} ms`);
  }
  const shown = (await site.api("operator", `GET /v1/sessions/${live.id}`)).json();
  assert.equal(shown.state, "live", "nobody else is the worse for it");
});

/**
 * Sends requests on a few connections, many at once on each, and sees that each is answered as it must be.
 * @param {string} url
 * @param {number} count
 * @param {{status: number, field: (n: number) => string}} flood
 */
async function send(url, count, { status, field }) {
  const { hostname, port } = new URL(url);
  let next = 0;
  const line = () =>
    new Promise((resolve, reject) => {
      const socket = net.connect(Number(port), hostname);
      let [received, waiting] = ["", 0];
      const more = () => {
        const first = next;
        next = Math.min(count, next + AT_ONCE);
        waiting = next - first;
        if (waiting === 0) return resolve(socket.end());
        let text = "";
        for (let n = first; n < next; n += 1) text += `GET /page HTTP/1.1\r\nHost: app\r\n${field(n)}\r\n\r\n`;
        socket.write(text);
      };
      socket.on("error", reject);
      socket.setEncoding("latin1").on("data", (text) => {
        received += text;
        const { answers, rest } = answersIn(received, false, []);
        received = rest;
        waiting -= answers.length;
        const other = answers.find((answer) => answer.status !== status);
        if (other) reject(new Error(`${other.status}: ${other.body}`));
        else if (waiting === 0) more();
      });
      socket.on("connect", more);
    });
  await Promise.all(Array.from({ length: LINES }, line));
}

/**
 * What there is of everything that could grow.
 * @param {Awaited<ReturnType<typeof startSite>>} site
 */
async function weigh(site) {
  const metrics = (await ask(`${site.admin}/metrics`, { headers: { Authorization: `Bearer ${site.keys.auditor}` } })).text;
  const status = await readFile(`/proc/${site.server.child.pid}/status`, "utf8");
  const files = await readdir(site.data, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    files.filter((file) => file.isFile()).map(async (file) => (await stat(path.join(file.parentPath ?? file.path, file.name))).size),
  );
  return {
    log: site.server.stderr.length + site.server.stdout.length,
    series: metrics.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length,
    people: (await stat(path.join(site.data, "people"))).size,
    disk: sizes.reduce((sum, size) => sum + size, 0),
    memoryKb: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]),
  };
}

/** Processor time that a process has had. @param {number | undefined} pid */
async function cpuMs(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
