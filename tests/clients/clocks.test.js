// @ts-check
// Clocks that lie to the program itself. libfaketime stands between a program and the C library's wall clock; a time
// namespace gives it another boot time. The program's steady clock is the kernel's, as it is without these.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import { ask, inUse, open, signIn } from "./support/http.js";
import { folder, run } from "./support/program.js";
import { DESK_APP, startDeskSite, startSite } from "./support/site.js";
import { eventually, sleep } from "./support/wait.js";

const HOUR_MS = 3_600_000;
const FAKETIME = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
  .map((where) => `${where}/faketime/libfaketimeMT.so.1`)
  .find(existsSync);
const noFaketime = FAKETIME ? false : "libfaketime is not installed";
const inNamespace = (/** @type {number} */ seconds) => ["unshare", "--time", "--boottime", String(seconds)];
const namespaces = await run("unshare", ["--time", "--boottime", "7", "true"]).then(({ code }) => code === 0, () => false);
const noNamespaces = namespaces ? false : "no time namespaces here";

/** A wall clock that can be set. @param {import("./support/later.js").Owner} owner */
async function wallClock(owner) {
  const file = path.join(await folder(owner), "time");
  // Put in place as a whole: a reader never meets half of it.
  const set = async (/** @type {number} */ seconds) => {
    await writeFile(`${file}.new`, `${seconds >= 0 ? "+" : ""}${seconds}\n`);
    await rename(`${file}.new`, file);
  };
  await set(0);
  const env = {
    LD_PRELOAD: String(FAKETIME),
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    DONT_FAKE_MONOTONIC: "1",
  };
  return { set, env };
}

const bearer = (/** @type {string} */ token) => ({ Authorization: `Bearer ${token}` });

/** @param {Awaited<ReturnType<typeof startSite>>} site @param {string} what */
async function entries(site, what) {
  const page = (await site.api("auditor", "GET /v1/ledger/entries?limit=1000")).json();
  return page.entries.map((/** @type {any} */ { entry }) => entry).filter((/** @type {any} */ entry) => entry.what === what);
}

describe("clocks", { concurrency: 2 }, () => {
  test("a wall clock set an hour forward counts as an hour, once; set back again it is ignored", { skip: noFaketime }, async (t) => {
    const clock = await wallClock(t);
    const site = await startDeskSite(t, { idle: "60s", absolute: "2h", env: clock.env });
    const { id, token } = await site.start({ subject: "trader" });
    const socket = new WebSocket(`${site.url.replace("http:", "ws:")}/ws/quotes`, { headers: bearer(token) });
    const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve(`${code} ${reason}`)));
    await new Promise((resolve) => socket.on("open", resolve));

    await clock.set(3600);
    assert.equal(await closed, "3008 idle_timeout", "what is open is cut without anybody asking");
    const refused = await ask(`${site.url}/api/whoami`, { headers: bearer(token) });
    assert.deepEqual([refused.status, refused.json().reason], [401, "idle_timeout"]);
    const end = await site.recorded(id, "session_ended");
    assert.equal(end.ended_at, end.deadline);
    assert.ok(end.lateness_us > 3_000_000_000, "by our clock it was noticed most of an hour late, and the record says so");
    const [step] = await eventually("the step", async () => (await entries(site, "clock_stepped")).length > 0 && entries(site, "clock_stepped"));
    assert.equal(step.direction, "forward");
    assert.ok(Math.abs(step.by_ms - HOUR_MS) < 5000, `${step.by_ms}`);

    const next = await site.start({ subject: "trader" });
    await clock.set(-3600);
    const back = await eventually("the step back", async () => (await entries(site, "clock_stepped"))[1]);
    assert.equal(back.direction, "back");
    assert.ok(Math.abs(back.by_ms - 2 * HOUR_MS) < 5000, `${back.by_ms}`);
    assert.equal((await ask(`${site.url}/api/whoami`, { headers: bearer(next.token) })).status, 200, "nobody is thrown out by it");
    assert.equal((await ask(`${site.url}/api/whoami`, { headers: bearer(token) })).status, 401, "and nothing lives again");
    assert.ok(back.at > step.at, "our own clock did not go back");
  });

  test("a wall clock set an hour back gives nobody an hour: not while it runs, and not by a restart", { skip: noFaketime }, async (t) => {
    const clock = await wallClock(t);
    const options = { idle: "2500ms", absolute: "60s", env: clock.env };
    const site = await startDeskSite(t, options);
    const [one, two] = [await site.start({ subject: "trader" }), await site.start({ subject: "trader2", idle: "2s" })];
    const began = Date.now();
    await clock.set(-3600);
    await site.recorded(two.id, "session_ended");
    const end = await site.recorded(one.id, "session_ended");
    assert.equal(end.reason, "idle_timeout");
    assert.ok(end.at - began < 20_000, "after seconds, and not after an hour");
    const three = await site.start({ subject: "trader" });
    await site.server.stop("SIGKILL");

    const again = await startSite(t, { ...options, upstream: site.desk.url, app: DESK_APP, dir: site.dir });
    assert.deepEqual(await entries(again, "clock_fault"), [], "within one boot the steady clock tells");
    const found = await again.recorded(three.id, "session_ended");
    assert.equal(found.reason, "idle_timeout");
    assert.equal((await ask(`${again.url}/api/whoami`, { headers: bearer(three.token) })).status, 401);
    const whats = (await again.record(one.id)).filter(({ what }) => what === "session_ended");
    assert.equal(whats.length, 1);
  });

  test("time in which the machine slept counts; a steady clock that went back is a fault, and ends all", { skip: noNamespaces }, async (t) => {
    const options = { idle: "10m", absolute: "12h" };
    const site = await startDeskSite(t, { ...options, under: inNamespace(1000) });
    const slept = await site.start({ subject: "trader" });
    await site.server.stop("SIGKILL");

    // The same boot, and an hour more on the clock that counts suspension; the wall clock knows nothing of it.
    const at = { ...options, upstream: site.desk.url, app: DESK_APP, dir: site.dir };
    const later = await startSite(t, { ...at, under: inNamespace(1000 + 3600) });
    const end = await later.recorded(slept.id, "session_ended");
    assert.deepEqual([end.reason, end.while_down, end.ended_at], ["idle_timeout", true, end.deadline]);
    assert.equal((await ask(`${later.url}/api/whoami`, { headers: bearer(slept.token) })).json().reason, "idle_timeout");
    assert.deepEqual(await entries(later, "clock_fault"), []);
    const awake = await later.start({ subject: "trader" });
    await later.server.stop("SIGKILL");

    const back = await startSite(t, { ...at, under: inNamespace(1000) });
    const [fault] = await entries(back, "clock_fault");
    assert.match(fault.cause, /steady clock is 3\d{6} ms behind within one boot/);
    const refused = await ask(`${back.url}/api/whoami`, { headers: bearer(awake.token) });
    assert.deepEqual([refused.status, refused.json().reason], [401, "clock_fault"]);
    assert.equal((await back.recorded(awake.id, "session_ended")).reason, "clock_fault");
    assert.equal((await back.start({ subject: "trader" })).id.slice(0, 4), "ses_", "and whoever signs in again is served");
  });

  test("a process that stood still passes nothing for what fell due meanwhile, and cuts at once", async (t) => {
    const site = await startDeskSite(t, { idle: "1500ms" });
    const { cookie, token } = await signIn(site.url, "trader");
    const session = await site.sessionOf(token);
    const headers = { Cookie: cookie };
    const { socket, news } = await inUse(`${site.url}/api/positions`, cookie, async () => {
      const socket = new WebSocket(`${site.url.replace("http:", "ws:")}/ws/quotes`, { headers });
      await new Promise((resolve) => socket.on("open", resolve));
      const news = await open(`${site.url}/api/news`, headers);
      await eventually("news", () => news.received().includes("headline"));
      return { socket, news };
    });
    const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve(`${code} ${reason}`)));
    site.server.child.kill("SIGSTOP");
    const seen = site.desk.log().length;
    // Longer than the limit; and a request waits in the kernel for the process that does not run.
    await sleep(2500);
    const late = ask(`${site.url}/api/whoami`, { headers });
    await sleep(100);
    site.server.child.kill("SIGCONT");

    assert.equal((await late).status, 401);
    assert.equal((await late).json().reason, "idle_timeout");
    assert.equal(await closed, "3008 idle_timeout");
    await news.over;
    assert.match(news.received(), /event: nightlatch-ended\ndata: idle_timeout/);
    const end = await site.recorded(session, "session_ended");
    assert.equal(end.ended_at, end.deadline);
    assert.ok(end.lateness_us > 500_000 && end.lateness_us < 60_000_000, `measured and recorded: ${end.lateness_us}`);
    const asked = site.desk.log().slice(seen).filter((entry) => entry.path === "/api/whoami");
    assert.deepEqual(asked, [], "the application never saw the late one");
  });
});
