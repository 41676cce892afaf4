// @ts-check
// The program on a disk that is full, goes read-only, or breaks: running sessions are served and end on time, none starts, and of what was
// acknowledged nothing is lost.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import { noDisks, startDisk } from "./support/disk.js";
import { ask } from "./support/http.js";
import { BINARY } from "./support/program.js";
import { DESK_APP, startDesk, startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

const skip = await noDisks();
const SIZE = "200M";

/** @typedef {Awaited<ReturnType<typeof startSite>>} Site */

const bearer = (/** @type {string} */ token) => ({ Authorization: `Bearer ${token}` });
const whoami = async (/** @type {Site} */ site, /** @type {string} */ token) => {
  const answer = await ask(`${site.url}/api/whoami`, { headers: bearer(token) });
  return [answer.status, answer.status === 200 ? answer.json().user : answer.json().reason];
};

/** The lights, as a balancer and an alert see them. @param {Site} site */
async function lights(site) {
  const [ready, enforcing, metrics] = await Promise.all(["/readyz", "/readyz/enforcing", "/metrics"].map((path) => ask(site.admin + path)));
  const sample = (/** @type {string} */ name) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(metrics.text)?.[1]);
  const faults = [...metrics.text.matchAll(/^nightlatch_fault\{part="(\w+)"\} 1/gm)].map(([, part]) => part);
  return { ready: ready.status, enforcing: enforcing.status, recording: sample("nightlatch_recording"), alert: faults.length > 0, faults };
}
const GREEN = { ready: 200, enforcing: 200, recording: 1, alert: false };
const RED = { ready: 503, enforcing: 200, recording: 0, alert: true };

/** @param {Site} site @param {typeof GREEN} expected */
async function waitFor(site, expected) {
  await eventually(JSON.stringify(expected), async () => {
    const { faults, ...seen } = await lights(site);
    return JSON.stringify(seen) === JSON.stringify(expected);
  });
}

/** What is on the record about a session, read from the ledger itself: the index is on the same disk. @param {Site} site @param {string} id */
async function ends(site, id) {
  const page = await site.api("auditor", "GET /v1/ledger/entries?limit=1000");
  assert.equal(page.status, 200, page.text);
  const entries = page.json().entries.map((/** @type {any} */ { entry }) => entry);
  return entries.filter((/** @type {any} */ entry) => entry.what === "session_ended" && entry.session === id);
}

/** @param {Site} site */
async function refusesToStart(site) {
  const refused = await site.api("issuer", "POST /v1/sessions", { subject: "administrator" });
  assert.deepEqual([refused.status, refused.json().code], [503, "not-recording"]);
  assert.ok(refused.headers["retry-after"], "and says when to come again");
}

/**
 * A desk on a disk of its own, with a session that lives on, one that falls due with a socket open, one whose end was acknowledged, and
 * one for an operator to end.
 * @param {import("./support/later.js").Owner} owner
 */
async function startOnDisk(owner) {
  const disk = await startDisk(owner, SIZE);
  const desk = await startDesk(owner);
  const options = { upstream: desk.url, app: DESK_APP, form: false, idle: "50s", dir: disk.dir, under: disk.under };
  const site = await startSite(owner, options);
  const begin = (/** @type {string} */ subject, idle = "50s") => site.start({ subject, idle });
  const [live, over, revoked] = [await begin("trader"), await begin("trader2"), await begin("trader2")];
  assert.equal((await site.api("operator", `DELETE /v1/sessions/${over.id}?cause=before`)).status, 200);
  const due = await begin("supervisor", "3s");
  const socket = new WebSocket(`${site.url.replace("http:", "ws:")}/ws/quotes`, { headers: bearer(due.token) });
  const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve(`${code} ${reason}`)));
  await new Promise((resolve) => socket.on("open", resolve));
  await waitFor(site, GREEN);
  const verify = () => disk.inside(BINARY, "ledger", "verify", "--dir", disk.data);
  return { disk, site, live, over, revoked, due, closed, verify, again: () => startSite(owner, options) };
}

describe("disk", { concurrency: 3, skip }, () => {
  test("full: what runs is served and ends on time and on the record, nothing starts; with space comes service, without a restart", async (t) => {
    const { disk, site, live, over, revoked, due, closed, verify, again } = await startOnDisk(t);
    disk.fill();
    await waitFor(site, RED);
    await refusesToStart(site);
    assert.deepEqual(await whoami(site, live.token), [200, "trader"]);
    // The space for its end was taken when it started.
    assert.equal((await site.api("operator", `DELETE /v1/sessions/${revoked.id}?cause=full`)).status, 200);
    assert.equal((await ends(site, revoked.id)).length, 1, "acknowledged, so on the record");
    assert.equal(await closed, "3008 idle_timeout");
    const [end] = await eventually("the end on the record of a full disk", async () => {
      const found = await ends(site, due.id);
      return found.length > 0 && found;
    });
    assert.deepEqual([end.reason, end.ended_at], ["idle_timeout", end.deadline]);
    assert.equal((await lights(site)).enforcing, 200);

    disk.empty();
    await waitFor(site, GREEN);
    const next = await site.start({ subject: "administrator" });
    assert.deepEqual(await whoami(site, live.token), [200, "trader"]);
    await verify();

    await site.server.stop("SIGKILL");
    const later = await again();
    assert.deepEqual(await whoami(later, live.token), [200, "trader"]);
    assert.deepEqual(await whoami(later, next.token), [200, "administrator"]);
    const reasons = await Promise.all([over, revoked, due].map(({ token }) => whoami(later, token)));
    assert.deepEqual(reasons, [[401, "revoked"], [401, "revoked"], [401, "idle_timeout"]]);
    for (const { id } of [over, revoked, due]) assert.equal((await ends(later, id)).length, 1);
    await verify();
  });

  for (const [what, fail] of /** @type {const} */ ([
    ["read-only in the middle of it", "goReadOnly"],
    ["broken, with an error from every call and what was not synced gone", "breakDown"],
  ])) {
    test(`${what}: what runs is served and ends on time, nothing is acknowledged that could be lost, and nothing acknowledged is`, async (t) => {
      const { disk, site, live, over, revoked, due, closed, verify, again } = await startOnDisk(t);
      await disk[fail]();
      await waitFor(site, RED);
      const order = site.api("operator", `DELETE /v1/sessions/${revoked.id}?cause=broken`);
      await refusesToStart(site);
      assert.deepEqual(await whoami(site, live.token), [200, "trader"]);
      // Neither the clock's reservation nor the end can be put on disk: it is in force, and no reason is told that a crash could undo.
      assert.equal(await closed, "1006 ");
      assert.equal((await whoami(site, due.token))[0], 401);
      const ordered = await order;
      assert.deepEqual([ordered.status, ordered.json().code], [503, "not-durable-yet"]);
      assert.equal((await whoami(site, revoked.token))[0], 401, "it takes effect all the same");
      assert.equal((await lights(site)).enforcing, 200);

      await site.server.stop("SIGKILL");
      await disk.mend();
      const later = await again();
      await waitFor(later, GREEN);
      const reasons = await Promise.all([over, due].map(({ token }) => whoami(later, token)));
      assert.deepEqual(reasons, [[401, "revoked"], [401, "idle_timeout"]], "the acknowledged end, and the one that follows from the numbers");
      assert.deepEqual(await whoami(later, live.token), [200, "trader"]);
      for (const { id } of [over, due]) assert.equal((await ends(later, id)).length, 1);
      await verify();
    });
  }
});
