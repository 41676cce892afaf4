// @ts-check
// Killed, started again, started twice: nothing makes a session live longer, and nothing is forgotten.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { ask, open, signIn } from "./support/http.js";
import { shared } from "./support/later.js";
import { startDemo } from "./support/demo.js";
import { DESK, folder, nightlatch } from "./support/program.js";
import { startDesk, startDeskSite, startSite, DESK_APP } from "./support/site.js";
import { eventually, sleep } from "./support/wait.js";

/** A crash may cost the activity of the last second. Who used the desk up to the crash loses that, and on a busy machine some more. */
const CRASH_MS = 2500;

describe("restart", { concurrency: 3 }, () => {
  test("killed with sessions and channels open: the live go on with their deadline, the ended stay ended", async (t) => {
    const site = await startDeskSite(t, { idle: "30s" });
    const [live, busy, ended] = [
      await site.start({ subject: "live" }),
      await site.start({ subject: "trader" }),
      await site.start({ subject: "ended" }),
    ];
    const bearer = (/** @type {string} */ token) => ({ Authorization: `Bearer ${token}` });
    const form = await signIn(site.url, "trader");
    await site.api("operator", `DELETE /v1/sessions/${ended.id}?cause=before`);

    const socket = new WebSocket(`${site.url.replace("http:", "ws:")}/ws/quotes`, { headers: { Cookie: form.cookie } });
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
    const report = await open(`${site.url}/reports/daily.csv`, { Cookie: form.cookie });
    await eventually("an open report", () => report.received().includes("\r\n1,"));

    // The one that signed in is used now and then left alone; the busy one is used until the crash.
    await sleep(300);
    const formSession = await site.sessionOf(form.token);
    assert.equal((await ask(`${site.url}/api/positions`, { headers: { Cookie: form.cookie } })).status, 200);
    const until = Date.now() + 2000;
    while (Date.now() < until) {
      assert.equal((await ask(`${site.url}/api/positions`, { headers: bearer(busy.token) })).status, 200);
      await sleep(50);
    }
    /** @param {Awaited<ReturnType<typeof startSite>>} at @param {string} id */
    const deadlineOf = async (at, id) =>
      Date.parse((await at.api("operator", `GET /v1/sessions/${id}`)).json().deadline.at);
    const ids = [formSession, live.id, busy.id];
    const before = await Promise.all(ids.map((id) => deadlineOf(site, id)));
    // Long enough for a busy machine to get it killed first.
    const due = await site.start({ subject: "due", idle: "2500ms" });
    const dueBefore = await deadlineOf(site, due.id);
    assert.ok(dueBefore > Date.now(), "not due yet");
    await site.server.stop("SIGKILL");
    assert.equal(site.server.ended, "SIGKILL");
    assert.equal(await report.over, "broken");
    assert.equal(await closed, 1006);

    await sleep(Math.max(0, dueBefore - Date.now()) + 300);
    const again = await startSite(t, { upstream: site.desk.url, app: DESK_APP, dir: site.dir, idle: "30s" });

    const now = await Promise.all(ids.map((id) => deadlineOf(again, id)));
    assert.equal(now[0], before[0], "the deadline that the last use had given");
    assert.equal(now[1], before[1], "the deadline that the start had given");
    const lost = before[2] - now[2];
    assert.ok(lost >= 0, "never later");
    assert.ok(lost <= CRASH_MS, `the busy one lost ${lost} ms`);
    assert.equal((await ask(`${again.url}/api/whoami`, { headers: { Cookie: form.cookie } })).json().user, "trader");

    const refused = await ask(`${again.url}/api/whoami`, { headers: bearer(ended.token) });
    assert.equal(refused.status, 401);
    assert.equal(refused.json().reason, "revoked");
    const late = await ask(`${again.url}/api/whoami`, { headers: bearer(due.token) });
    assert.equal(late.status, 401);
    assert.equal(late.json().reason, "idle_timeout");

    const end = await again.recorded(due.id, "session_ended");
    assert.equal(end.while_down, true);
    assert.equal(end.by, "recovery");
    assert.equal(end.ended_at, end.deadline);
    assert.equal(end.ended_at, dueBefore, "its true deadline");
    assert.ok(end.at > end.ended_at);
    assert.equal("lateness_us" in end, false, "nothing was open, so nothing was late");
    for (const id of [ended.id, due.id]) {
      const whats = (await again.record(id)).map(({ what }) => what);
      assert.equal(whats.filter((what) => what === "session_started").length, 1);
      assert.equal(whats.filter((what) => what === "session_ended").length, 1);
    }
  });

  test("stopped in order, it loses nothing: the deadline is the same to the millisecond", async (t) => {
    const desk = await startDesk(t);
    const options = { upstream: desk.url, app: DESK_APP, idle: "30s" };
    const site = await startSite(t, options);
    const { cookie, token } = await signIn(site.url, "supervisor");
    await sleep(300);
    await ask(`${site.url}/api/positions`, { headers: { Cookie: cookie } });
    const session = await site.sessionOf(token);
    const before = (await site.api("operator", `GET /v1/sessions/${session}`)).json();
    const news = await open(`${site.url}/api/news`, { Cookie: cookie });
    await eventually("news", () => news.received().includes("headline"));
    await site.server.stop();
    assert.equal(site.server.ended, 0);
    await news.over;

    const again = await startSite(t, { ...options, dir: site.dir });
    const now = (await again.api("operator", `GET /v1/sessions/${session}`)).json();
    assert.equal(now.state, "live");
    assert.equal(now.deadline.at, before.deadline.at);
    assert.equal((await ask(`${again.url}/api/whoami`, { headers: { Cookie: cookie } })).status, 200);
  });

  describe("what does not start", () => {
    const file = shared(after);
    /** @type {Awaited<ReturnType<typeof startDemo>>} */
    let demo;
    before(async () => {
      demo = await startDemo(file);
    });
    const elsewhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--app", DESK];

    test("a second program on the same data directory: exit code 3, and it says so", async () => {
      const second = await nightlatch("demo", ...elsewhere, "--data", demo.data);
      assert.equal(second.code, 3, second.stderr);
      assert.match(second.stderr, /nightlatch: .*another process/i);
      assert.equal((await ask(`${demo.url}/_nightlatch/login`)).status, 200, "the first one does not mind");
    });

    test("the demo where others could reach it: exit code 2, and it says what to do", async (t) => {
      for (const where of ["--listen", "--admin"]) {
        const data = await folder(t);
        const open = await nightlatch("demo", ...elsewhere.filter((arg) => arg !== where), where, "0.0.0.0:0", "--data", data);
        assert.equal(open.code, 2, open.stderr);
      }
      const said = await nightlatch("demo", "--listen", "0.0.0.0:8080");
      assert.equal(said.code, 2);
      assert.match(said.stderr, /loopback only, and 0\.0\.0\.0:8080 is not; try 127\.0\.0\.1:8080/);
    });

    test("a port that somebody has: exit code 3, and it names the port", async (t) => {
      const port = demo.url.slice("http://".length);
      const data = await folder(t);
      const second = await nightlatch("demo", "--listen", port, "--admin", "127.0.0.1:0", "--app", DESK, "--data", data);
      assert.equal(second.code, 3);
      assert.match(second.stderr, new RegExp(`cannot listen on ${port}`));
    });
  });
});
