// @ts-check
// curl: signs in with the form, uses the desk, leaves it, and sees everything end together.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { answer, curlWithJar } from "./support/curl.js";
import { shared } from "./support/later.js";
import { startDeskSite } from "./support/site.js";
import { eventually, sleep } from "./support/wait.js";

const IDLE_MS = 3000;
/** Lateness is measured where machines are quiet; here it only must not be absurd. */
const ABSURD_US = 5_000_000;

describe("curl", { concurrency: 4 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startDeskSite>>} */
  let site;
  before(async () => {
    site = await startDeskSite(file, { idle: `${IDLE_MS}ms` });
  });

  /**
   * Signs in by the form.
   * @param {import("node:test").TestContext} t
   * @param {string} [user]
   */
  async function signedIn(t, user = "trader") {
    const { curl, dir } = await curlWithJar(t);
    const form = ["--data", `user=${user}`, "--data", "return_to=/", "--header", `Origin: ${site.url}`];
    const said = answer((await curl("--include", ...form, `${site.url}/_nightlatch/login`)).stdout);
    assert.equal(said.status, 303);
    const token = /nightlatch-loopback=([^;]+);/.exec(said.headers.get("set-cookie") ?? "")?.[1] ?? "";
    return { curl, dir, token, session: await site.sessionOf(token) };
  }

  /** @param {string} session */
  const shown = async (session) => (await site.api("operator", `GET /v1/sessions/${session}`)).json();

  test("nobody who is not signed in gets anything, and the form is where a person is sent", async (t) => {
    const { curl } = await curlWithJar(t);
    const script = answer((await curl("--include", `${site.url}/api/positions`)).stdout);
    assert.equal(script.status, 401);
    assert.equal(script.headers.get("content-type"), "application/problem+json");
    const problem = JSON.parse(script.body);
    assert.match(problem.login_url, /^\/_nightlatch\/login\?return_to=\//);
    assert.equal("reason" in problem, false);

    const person = await curl("--location", "--header", "Accept: text/html", `${site.url}/?from=mail`);
    assert.match(person.stdout, /Sign in as/);
    assert.match(person.stdout, /name="return_to" value="\/\?from=mail"/);

    const stranger = await curl("--header", `Cookie: nightlatch-loopback=nlt_${"A".repeat(43)}`, `${site.url}/api/whoami`);
    assert.deepEqual(Object.keys(JSON.parse(stranger.stdout)).sort(), ["login_url", "status", "title", "type"]);
  });

  test("report and news stop together at the idle deadline; what was cut cannot look complete", async (t) => {
    const { curl, session } = await signedIn(t);
    const who = JSON.parse((await curl(`${site.url}/api/whoami`)).stdout);
    assert.equal(who.user, "trader");

    const [report, news] = await Promise.all([
      curl("--dump-header", "-", `${site.url}/reports/daily.csv`),
      curl(`${site.url}/api/news`),
    ]);
    assert.ok([18, 56].includes(report.code ?? -1), `curl knows that the report is not whole: ${report.code}`);
    assert.equal(news.code, 0, "the news ended in the words of its protocol");
    assert.ok(news.stdout.endsWith("event: nightlatch-ended\ndata: idle_timeout\n\n"), news.stdout.slice(-200));
    assert.match(news.stdout, /event: headline\n/);
    assert.ok(Math.abs(report.at - news.at) < 1000, `within a second: ${report.at - news.at} ms apart`);

    const ended = await site.recorded(session, "session_ended");
    assert.equal(ended.reason, "idle_timeout");
    assert.equal(ended.ended_at, ended.deadline);
    assert.equal(ended.ended_at, ended.last_activity + IDLE_MS, "neither report nor news was activity");
    const cuts = await Promise.all(
      ["download", "sse"].map((channel) => site.recorded(session, "cut", (cut) => cut.channel === channel)),
    );
    assert.deepEqual(
      cuts.map(({ route, how }) => [route, how]),
      [
        ["GET /reports/**", "reset"],
        ["GET /api/news", "event nightlatch-ended"],
      ],
    );
    for (const cut of cuts) {
      assert.equal(cut.ended_at, ended.ended_at, "one end for all channels");
      assert.ok(cut.lateness_us >= 0 && cut.lateness_us < ABSURD_US, `${cut.lateness_us} us late`);
    }
    // A row carries the instant at which the desk wrote it. None from after the end came through.
    const rows = report.stdout.trim().split("\r\n").filter((line) => /^\d+,2/.test(line));
    assert.ok(rows.length > 3);
    const last = Date.parse(rows[rows.length - 1].split(",")[1]);
    assert.ok(last <= ended.ended_at, `the last row is ${last - ended.ended_at} ms after the end`);
  });

  test("after the end the same cookie gets a 401 with the reason, and a person the sign-in page that says why", async (t) => {
    const { curl, session, token } = await signedIn(t);
    await curl("--output", "/dev/null", "--header", "Sec-Fetch-User: ?1", `${site.url}/`);
    await curl("--output", "/dev/null", `${site.url}/reports/daily.csv`);
    // The jar would take the answer's cookies: here the old cookie is sent by hand, as by a second program.
    const old = ["--header", `Cookie: nightlatch-loopback=${token}`];
    const script = answer((await curl("--include", ...old, `${site.url}/api/whoami`)).stdout);
    assert.equal(script.status, 401);
    assert.equal(script.headers.get("content-type"), "application/problem+json");
    assert.equal(script.headers.get("cache-control"), "no-store");
    assert.equal(script.headers.get("www-authenticate"), 'Bearer error="invalid_token"');
    const problem = JSON.parse(script.body);
    assert.equal(problem.title, "You are signed out.");
    assert.equal(problem.detail, "Nothing happened for 3 seconds. Sign in again to continue.");
    assert.equal(problem.reason, "idle_timeout");
    assert.equal(problem.submission_kept, false);
    assert.equal("outcome" in problem, false);
    const ended = await site.recorded(session, "session_ended");
    assert.equal(Date.parse(problem.ended_at), ended.ended_at);

    const person = answer(
      (await curl("--include", "--header", "Accept: text/html", `${site.url}/?tab=orders`)).stdout,
    );
    assert.equal(person.status, 303);
    assert.equal(person.headers.get("location"), "/_nightlatch/login?return_to=/%3Ftab%3Dorders");
    const page = await curl("--location", "--header", "Accept: text/html", `${site.url}/`);
    assert.match(page.stdout, /<h1>You are signed out\.<\/h1>\s*<p>Nothing happened for 3 seconds\./);
    assert.match(page.stdout, /idle_timeout/);
    const refused = await site.recorded(session, "refused_after_end");
    assert.equal(refused.point, "gateway");
  });

  test("a navigation with the old cookie gets the ticket in its place, and the app's cookies go", async (t) => {
    const { curl, token } = await signedIn(t);
    const first = answer((await curl("--include", `${site.url}/`)).stdout);
    assert.match(first.headers.get("set-cookie") ?? "", /desk_session=[^;]+;/);
    await curl("--output", "/dev/null", `${site.url}/reports/daily.csv`);
    const old = ["--header", `Cookie: nightlatch-loopback=${token}`, "--header", "Accept: text/html"];
    const person = answer((await curl("--include", ...old, `${site.url}/`)).stdout);
    assert.equal(person.status, 303);
    assert.equal(person.headers.get("clear-site-data"), '"cache"');
    assert.equal(person.headers.get("cache-control"), "no-store");
    const cookies = person.headers.getSetCookie();
    assert.equal(cookies.length, 3);
    assert.match(cookies[0], /^nightlatch-loopback=; Path=\/; Max-Age=0;/);
    assert.match(cookies[1], /^nightlatch-loopback-ended=nle_[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
    assert.match(cookies[2], /^desk_session=; Path=\/; Max-Age=0/);
    const ticket = cookies[1].split(";")[0];
    const opens = answer((await curl("--include", "--header", `Cookie: ${ticket}`, `${site.url}/api/whoami`)).stdout);
    assert.equal(opens.status, 401, "the ticket opens nothing");
    assert.equal(JSON.parse(opens.body).reason, "idle_timeout");
  });

  test("HTTP/1.0, where the end of the connection is the end of the body, is reset as well", async (t) => {
    const { curl, session } = await signedIn(t);
    const who = answer((await curl("--http1.0", "--include", `${site.url}/api/whoami`)).stdout);
    assert.equal(who.status, 200);
    assert.equal(JSON.parse(who.body).user, "trader");
    const report = await curl("--http1.0", `${site.url}/reports/daily.csv`);
    assert.match(report.stdout, /^row,time,symbol/);
    assert.ok([18, 56].includes(report.code ?? -1), `not taken for whole: ${report.code}`);
    assert.equal((await site.recorded(session, "cut")).how, "reset");
  });

  test("an upload that is under way at the deadline is aborted at the application", async (t) => {
    const { curl, dir, session } = await signedIn(t);
    const document = path.join(dir, "document");
    await writeFile(document, Buffer.alloc(8 * 1024 * 1024, "x"));
    const name = `upload-${session}`;
    const send = ["--limit-rate", "200k", "--data-binary", `@${document}`, "--write-out", "\n%{http_code}"];
    const upload = await curl(...send, "--header", "Expect:", `${site.url}/api/documents?name=${name}`);
    const aborted = await site.desk.logged("upload_aborted", (entry) => entry.name === name);
    assert.ok(aborted.bytes > 0 && aborted.bytes < 8 * 1024 * 1024, `${aborted.bytes} bytes had come`);
    assert.ok(!site.desk.log().some((entry) => entry.event === "upload_closed" && entry.name === name));
    if (upload.code === 0) {
      const [body, code] = upload.stdout.split("\n");
      assert.equal(code, "401");
      assert.equal(JSON.parse(body).reason, "idle_timeout");
    } else {
      assert.ok([55, 56].includes(upload.code ?? -1), `${upload.code} ${upload.stderr}`);
    }
    const cut = await site.recorded(session, "cut");
    assert.equal(cut.channel, "upload");
    assert.equal(cut.reason, "idle_timeout");
  });

  test("an order that was forwarded whole is neither lost nor doubled, and its sender is told that nobody knows", async (t) => {
    const { curl, session } = await signedIn(t);
    const note = `once ${session}`;
    const order = JSON.stringify({ symbol: "QUAY", side: "buy", quantity: 10, note });
    const json = ["--header", "Content-Type: application/json", "--data", order];
    const placed = answer((await curl("--include", ...json, `${site.url}/api/orders?settle_ms=4500`)).stdout);
    assert.equal(placed.status, 401);
    const problem = JSON.parse(placed.body);
    assert.equal(problem.reason, "idle_timeout");
    assert.equal(problem.outcome, "unknown");
    assert.equal(problem.submission_kept, false);
    const withheld = await site.recorded(session, "outcome_withheld");
    assert.equal(withheld.status, 201);
    assert.match(withheld.route, /^POST /);

    const again = await signedIn(t);
    const { orders } = JSON.parse((await again.curl(`${site.url}/api/orders`)).stdout);
    const mine = orders.filter((/** @type {{note: string}} */ one) => one.note === note);
    assert.equal(mine.length, 1);
    assert.equal(mine[0].status, "filled");
  });

  test("polling does not keep a session; using it does", async (t) => {
    const [polls, uses] = [await signedIn(t), await signedIn(t, "supervisor")];
    const until = Date.now() + IDLE_MS + 1500;
    let refused = 0;
    while (Date.now() < until) {
      const [poll, use] = await Promise.all([
        polls.curl("--output", "/dev/null", "--write-out", "%{http_code}", `${site.url}/api/notifications`),
        uses.curl("--output", "/dev/null", "--write-out", "%{http_code}", `${site.url}/api/positions`),
      ]);
      if (poll.stdout === "401") refused += 1;
      assert.equal(use.stdout, "200");
      await sleep(300);
    }
    assert.ok(refused > 0);
    const ended = await site.recorded(polls.session, "session_ended");
    assert.equal(ended.ended_at, ended.last_activity + IDLE_MS);
    assert.ok(ended.passive > 3, `${ended.passive} requests that did not count`);
    assert.equal((await shown(uses.session)).state, "live");
  });

  test("signing out ends what is open; a page of another site cannot do it", async (t) => {
    const { curl, session } = await signedIn(t);
    const news = curl(`${site.url}/api/news`);
    await eventually("the news being open", async () => (await shown(session)).open > 0);
    const logout = `${site.url}/_nightlatch/logout`;
    const foreign = await curl("--include", "--request", "POST", "--header", "Origin: http://evil.example", logout);
    assert.equal(answer(foreign.stdout).status, 403);
    assert.equal((await shown(session)).state, "live");

    const own = ["--request", "POST", "--header", `Origin: ${site.url}`, "--header", "Accept: text/html"];
    const out = answer((await curl("--include", ...own, logout)).stdout);
    assert.equal(out.status, 204);
    assert.match((await news).stdout, /event: nightlatch-ended\ndata: logout\n\n$/);
    const ended = await site.recorded(session, "session_ended");
    assert.equal(ended.reason, "logout");
    const gone = answer((await curl("--include", `${site.url}/api/whoami`)).stdout);
    assert.equal(gone.status, 401);
  });
});
