// @ts-check
// `nightlatch serve` in front of a server that knows nothing: sessions by API, bearers, an operator's end, TLS.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { certificate } from "./support/certificate.js";
import { answer } from "./support/curl.js";
import { ask, open } from "./support/http.js";
import { later, shared } from "./support/later.js";
import { folder, nightlatch, run } from "./support/program.js";
import { startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

/** The routes of the server that knows nothing. */
const APP = `public = ["GET /public"]\npassive = ["GET /stream"]`;

describe("serve", { concurrency: 3 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startUpstream>>} */
  let upstream;
  /** @type {Awaited<ReturnType<typeof startSite>>} */
  let site;
  before(async () => {
    upstream = await startUpstream(file);
    site = await startSite(file, { upstream: upstream.url, app: APP, idle: "3s", form: false });
  });

  const bearer = (/** @type {string} */ token) => ({ Authorization: `Bearer ${token}` });

  test("the configuration it runs with is what the check accepts", async () => {
    const checked = await nightlatch("config", "check", site.file);
    assert.equal(checked.code, 0, checked.stderr);
  });

  test("a session started by API opens the app with its bearer, which the app never sees", async () => {
    const { id, token } = await site.start({ subject: "ada@desk.example", groups: ["traders", "london"] });
    assert.match(token, /^nlt_/);
    const seen = (await ask(`${site.url}/anything?x=1`, { headers: { ...bearer(token), Cookie: "mine=1", "X-Nightlatch-Subject": "root" } })).json();
    assert.equal(seen.url, "/anything?x=1");
    assert.equal(seen.headers["x-nightlatch-subject"], "ada@desk.example");
    assert.equal(seen.headers["x-nightlatch-session"], id);
    assert.equal(seen.headers["x-nightlatch-groups"], "traders,london");
    assert.equal(seen.headers.cookie, "mine=1");
    assert.equal(seen.headers.authorization, undefined);
    assert.ok(!JSON.stringify(seen).includes(token));
  });

  test("a bearer that is not ours is the app's and opens nothing here; two of ours are refused", async () => {
    const stranger = await ask(`${site.url}/`, { headers: bearer("of-the-app") });
    assert.equal(stranger.status, 401);
    assert.equal("reason" in stranger.json(), false);
    const [one, two] = [await site.start({ subject: "ada" }), await site.start({ subject: "ada" })];
    const both = await ask(`${site.url}/`, { headers: { ...bearer(one.token), Cookie: `nightlatch-loopback=${two.token}` } });
    assert.ok([400, 401].includes(both.status), `${both.status}`);
    const open = await ask(`${site.url}/public`);
    assert.equal(open.status, 200);
    assert.equal(open.json().headers["x-nightlatch-subject"], undefined);
  });

  test("an operator's end cuts an open stream, and the next request is told the reason", async () => {
    const { id, token } = await site.start({ subject: "bob" });
    const stream = await open(`${site.url}/stream`, bearer(token));
    await eventually("the stream", () => stream.received().length > 0);
    const ended = await site.api("operator", `DELETE /v1/sessions/${id}?cause=phished&ticket=INC-7`);
    assert.equal(ended.status, 200);
    assert.equal(ended.json().state, "ended");
    assert.equal(await stream.over, "broken", "what was cut does not look complete");
    await eventually("the app hearing of it", () => upstream.aborted.includes("/stream"));
    const refused = await ask(`${site.url}/`, { headers: bearer(token) });
    assert.equal(refused.status, 401);
    const problem = refused.json();
    assert.equal(problem.reason, "revoked");
    assert.equal(problem.title, "Your firm ended this session.");
    assert.equal(refused.headers["set-cookie"], undefined, "who brings a bearer gets no cookies");
    const entry = await site.recorded(id, "session_ended");
    assert.equal(entry.by, "key:operator");
    assert.match(entry.cause, /phished/);
    assert.match(entry.cause, /INC-7/);
    const cut = await site.recorded(id, "cut");
    assert.deepEqual([cut.channel, cut.how, cut.reason], ["download", "reset", "revoked"]);
  });

  test("each role may do its own and nothing else; no key, nothing", async () => {
    const { id, token } = await site.start({ subject: "carol" });
    /** @type {[string, unknown, string[]][]} */
    const routes = [
      ["POST /v1/sessions", { subject: "x" }, ["issuer"]],
      ["POST /v1/check", { token, passive: true }, ["checker"]],
      [`GET /v1/sessions/${id}`, undefined, ["operator", "auditor"]],
      ["GET /v1/ledger/entries", undefined, ["auditor"]],
      [`DELETE /v1/sessions/${id}`, undefined, ["operator"]],
    ];
    for (const [route, body, may] of routes) {
      for (const role of /** @type {const} */ (["issuer", "checker", "auditor", "operator"])) {
        const { status } = await site.api(role, route, body);
        assert.equal(status < 300, may.includes(role), `${role}: ${route}: ${status}`);
        assert.ok(status < 300 || status === 403);
      }
    }
    assert.equal((await ask(`${site.admin}/v1/sessions`)).status, 401);
    assert.equal((await ask(`${site.url}/v1/sessions`, { headers: bearer(site.keys.operator) })).status, 401, "not on the gateway");
  });

  test("an end is streamed to an auditor as it goes on the record", async () => {
    const { id } = await site.start({ subject: "dora", idle: "1s" });
    const events = await open(`${site.admin}/v1/events?from=0&session=${id}`, bearer(site.keys.auditor));
    const text = await eventually("the end in the stream", () => events.received().includes("session_ended") && events.received());
    assert.match(text, /id: n[0-9a-f]+:\d+\nevent: session_started|event: session_started/);
    assert.match(text, /"reason":"idle_timeout"/);
  });

  test("over TLS the cookie is __Host-nightlatch: Secure, HttpOnly, and good for nothing else", async (t) => {
    const certified = await certificate(t);
    if (!certified) {
      t.skip("openssl is missing, so there is no certificate to try TLS with");
      return;
    }
    const { cert, tls } = certified;
    const secure = await startSite(t, { upstream: upstream.url, app: APP, tls });
    const ca = await readFile(cert, "utf8");

    const form = { user: "trader", return_to: "/" };
    const said = await ask(`${secure.url}/_nightlatch/login`, {
      ...{ ca, method: "POST", body: new URLSearchParams(form).toString() },
      headers: { Origin: secure.url, "Content-Type": "application/x-www-form-urlencoded" },
    });
    assert.equal(said.status, 303);
    const [cookie, ended] = said.headers["set-cookie"] ?? [];
    assert.match(cookie, /^__Host-nightlatch=nlt_[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
    assert.match(ended, /^__Host-nightlatch-ended=; Path=\/; Max-Age=0;.*; Secure$/);

    // curl keeps a __Host- cookie only if all that the prefix asks for is there.
    const jar = path.join(await folder(t), "jar");
    const curl = ["--silent", "--show-error", "--cacert", cert, "--cookie", jar, "--cookie-jar", jar];
    const data = ["--data", "user=trader&return_to=/", "--header", `Origin: ${secure.url}`];
    await run("curl", [...curl, ...data, `${secure.url}/_nightlatch/login`]);
    const got = await run("curl", [...curl, "--include", "--http1.1", `${secure.url}/page`]);
    const page = answer(got.stdout);
    assert.equal(page.status, 200, got.stdout + got.stderr);
    const seen = JSON.parse(page.body);
    assert.equal(seen.headers.cookie, undefined, "our cookie does not reach the app");
    assert.equal(seen.headers["x-forwarded-proto"], "https");

    // The name that is good on plain loopback opens nothing here.
    const value = cookie.split(";")[0].split("=")[1];
    const other = await ask(`${secure.url}/page`, { ca, headers: { Cookie: `nightlatch-loopback=${value}` } });
    assert.equal(other.status, 401);
    const plain = await ask(secure.url.replace("https:", "http:")).catch((error) => error);
    assert.ok(plain instanceof Error || plain.status >= 400, "plain http is not answered on this port");
  });

  test("a configuration with mistakes is refused whole, with every mistake named", async (t) => {
    const bad = path.join(await folder(t), "bad.toml");
    await writeFile(bad, 'version = 1\n[listen]\ngatway = "127.0.0.1:0"\n[policy]\nidle = "15 minutes"\nabsolute = "12h"\n');
    const refused = await nightlatch("serve", "--config", bad);
    assert.equal(refused.code, 1);
    for (const code of ["unknown-key", "bad-duration", "no-app"]) assert.ok(refused.stderr.includes(code), refused.stderr);
    const missing = await nightlatch("serve", "--config", `${bad}.not`);
    assert.equal(missing.code, 3);
  });
});

/**
 * A server that knows nothing of us: it tells what it was asked, and has one endless answer.
 * @param {import("./support/later.js").Owner} owner
 */
async function startUpstream(owner) {
  /** @type {string[]} */
  const aborted = [];
  const server = http.createServer((request, response) => {
    const { url = "", method, headers } = request;
    if (url === "/stream") {
      const writing = setInterval(() => response.write("more\n"), 50);
      response.on("close", () => {
        clearInterval(writing);
        if (!response.writableFinished) aborted.push(url);
      });
      return;
    }
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ method, url, headers }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  later(owner, () => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, aborted };
}
