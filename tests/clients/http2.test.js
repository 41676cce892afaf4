// @ts-check
// HTTP/2 with clients that are not ours: curl, h2load, Node's, and frames by hand from Python's `h2`.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import http2 from "node:http2";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { certificate } from "./support/certificate.js";
import { later, shared } from "./support/later.js";
import { ROOT, run } from "./support/program.js";
import { startSite } from "./support/site.js";

const PYTHON = path.join(ROOT, ".venv/bin/python");

describe("http/2", { concurrency: 3 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startSite>>} */
  let site;
  let [cert, tls, app] = ["", "", ""];
  before(async () => {
    const made = await certificate(file);
    assert.ok(made, "openssl is missing: HTTP/2 goes over TLS");
    ({ cert, tls } = made);
    app = await startUpstream(file);
    const passive = 'passive = ["GET /endless", "GET /events"]';
    site = await startSite(file, { upstream: app, app: passive, idle: "3s", form: false, tls });
  });

  const curl = (/** @type {string[]} */ ...args) => run("curl", ["--silent", "--show-error", "--cacert", cert, ...args]);
  const bearer = (/** @type {string} */ token) => ["--header", `Authorization: Bearer ${token}`];

  test("curl gets pages, posts, ranges and heads over HTTP/2", async () => {
    const { token } = await site.start({ subject: "ada" });
    const got = await curl("--http2", "--include", ...bearer(token), `${site.url}/page`);
    assert.match(got.stdout, /^HTTP\/2 200 /);
    const body = "x".repeat(300_000);
    const posted = await run("curl", ["--silent", "--cacert", cert, "--http2", ...bearer(token), "--data-binary", "@-", `${site.url}/count`], { input: body });
    assert.equal(posted.stdout, "300000");
    const waited = await run("curl", ["--silent", "--cacert", cert, "--http2", ...bearer(token), "--header", "Expect: 100-continue", "--data-binary", "@-", "--verbose", `${site.url}/count`], { input: body });
    assert.match(waited.stderr, /HTTP\/2 100/);
    assert.equal(waited.stdout, "300000");
    const part = await curl("--http2", "--include", ...bearer(token), "--range", "2-4", `${site.url}/file`);
    assert.match(part.stdout, /^HTTP\/2 206 [\s\S]*content-range: bytes 2-4\/10[\s\S]*\r\n\r\n234$/);
    const head = await curl("--http2", "--head", ...bearer(token), `${site.url}/file`);
    assert.match(head.stdout, /^HTTP\/2 200 [\s\S]*content-length: 10\r\n/);
  });

  test("at the deadline curl knows that a download is not whole, and an event stream ends in words", async () => {
    const { id, token } = await site.start({ subject: "ada" });
    const [download, events] = await Promise.all([
      curl("--http2", ...bearer(token), "--output", "/dev/null", `${site.url}/endless`),
      curl("--http2", "--no-buffer", ...bearer(token), `${site.url}/events`),
    ]);
    assert.equal(download.code, 92, `a stream that was not closed cleanly: ${download.stderr}`);
    assert.match(download.stderr, /CANCEL/);
    assert.equal(events.code, 0);
    assert.ok(events.stdout.endsWith("event: nightlatch-ended\ndata: idle_timeout\n\n"), events.stdout.slice(-100));
    const cuts = await Promise.all(["download", "sse"].map((channel) => site.recorded(id, "cut", (cut) => cut.channel === channel)));
    assert.ok(["RST_STREAM", "connection reset"].includes(cuts[0].how), cuts[0].how);
    assert.equal(cuts[1].how, "event nightlatch-ended");
  });

  test("on one connection of Node's, one session ends and the other goes on", async (t) => {
    const [one, two] = [await site.start({ subject: "ada" }), await site.start({ subject: "grace" })];
    const line = http2.connect(site.url, { ca: await readFile(cert) });
    later(t, () => line.destroy());
    const goodbyes = /** @type {number[]} */ ([]);
    line.on("goaway", (code) => goodbyes.push(code));
    /** @param {string} token @param {string} where */
    const stream = (token, where) => {
      const request = line.request({ ":path": where, authorization: `Bearer ${token}` });
      request.on("error", () => {});
      request.resume();
      const seen = { bytes: 0, code: /** @type {number | undefined} */ (undefined) };
      request.on("data", (chunk) => (seen.bytes += chunk.length));
      const closed = new Promise((resolve) => request.on("close", () => resolve((seen.code = request.rstCode))));
      return { seen, closed };
    };
    const [cut, lives] = [stream(one.token, "/drip"), stream(two.token, "/drip")];
    await new Promise((resolve) => setTimeout(resolve, 300));
    await site.api("operator", `DELETE /v1/sessions/${one.id}?cause=test`);
    assert.equal(await cut.closed, http2.constants.NGHTTP2_CANCEL);
    const before = lives.seen.bytes;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(lives.seen.bytes > before && lives.seen.code === undefined, "the other goes on");
    assert.deepEqual(goodbyes, [], "and nobody was told to go away");
  });

  test("h2load: many streams on many connections, all answered", async () => {
    const { token } = await site.start({ subject: "ada" });
    const load = await run("h2load", ["--requests=4000", "--clients=8", "--max-concurrent-streams=50", `--header=authorization: Bearer ${token}`, `${site.url}/page`]);
    assert.equal(load.code, 0, load.stderr);
    assert.match(load.stdout, /4000 succeeded, 0 failed, 0 errored, 0 timeout/);
    assert.match(load.stdout, /status codes: 4000 2xx/);
  });

  test("what is no request is refused by the stream, and a flood by the connection", async (t) => {
    const patient = await startSite(t, { upstream: app, idle: "50s", form: false, tls });
    const { token } = await patient.start({ subject: "mallory" });
    const { hostname, port } = new URL(patient.url);
    const script = fileURLToPath(new URL("python/hostile_http2.py", import.meta.url));
    const { code, stdout, stderr } = await run(PYTHON, [script, hostname, port, cert, token]);
    assert.equal(code, 0, stderr);
    const { asked, others } = JSON.parse(stdout);
    assert.deepEqual(asked, {
      ...became("stream", "connection", "transfer-encoding", "keep-alive", "proxy-connection", "upgrade", "te"),
      ...became(200, "te trailers", "the same host"),
      ...became(400, "another host", "two hosts", "a user in the authority", "no authority"),
      ...became("stream", "no path", "an empty path", "no method", "no scheme", "two paths", "a late pseudo field"),
      ...became("closed", "an unknown pseudo field", "an upper-case name", "a line end in a value", "NUL in a value"),
      ...became("closed", "blank in a name", "colon in a name"),
      ...became("stream", "line end in the path", "blank in the path", "a host in the path"),
      ...became(405, "CONNECT"),
      ...became("stream", "extended CONNECT", "a length and no body", "two lengths"),
      ...became(431, "a huge head"),
    });
    assert.deepEqual(others, {
      ...became("closed", "flood of rapid reset", "flood of CONTINUATION", "flood of empty CONTINUATION"),
      ...became("closed", "flood of SETTINGS", "flood of PING", "flood of PRIORITY", "flood of empty DATA"),
      ...became("closed", "HPACK bomb", "window overflow", "even stream"),
      ...became(200, "zero windows"),
      ...became("stream", "too many streams"),
    });
    const { token: honest } = await patient.start({ subject: "ada" });
    const page = await curl("--http2", "--include", ...bearer(honest), `${patient.url}/page`);
    assert.match(page.stdout, /^HTTP\/2 200 /);
  });
});

/**
 * The same verdict for each of these.
 * @param {string | number} verdict
 * @param {...string} names
 */
const became = (verdict, ...names) => Object.fromEntries(names.map((name) => [name, verdict]));

/** @param {import("./support/later.js").Owner} owner */
async function startUpstream(owner) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://app");
    /** @type {ReturnType<typeof setInterval> | undefined} */
    let timer;
    response.on("close", () => clearInterval(timer));
    switch (pathname) {
      case "/count": {
        let bytes = 0;
        request.on("data", (chunk) => (bytes += chunk.length));
        request.on("end", () => response.end(String(bytes)));
        return;
      }
      case "/file":
        response.setHeader("Accept-Ranges", "bytes");
        if (request.headers.range === "bytes=2-4") {
          response.writeHead(206, { "Content-Range": "bytes 2-4/10", "Content-Length": 3 });
          return response.end("234");
        }
        return response.writeHead(200, { "Content-Length": 10 }).end("0123456789");
      case "/endless":
        response.writeHead(200, { "Content-Length": 1_000_000_000 });
        timer = setInterval(() => response.write("x".repeat(1000)), 20);
        return;
      case "/drip":
        timer = setInterval(() => response.write("x"), 20);
        return;
      case "/events":
        response.setHeader("Content-Type", "text/event-stream");
        timer = setInterval(() => response.write("data: tick\n\n"), 50);
        return;
      case "/big":
        return response.end("x".repeat(100_000));
      case "/slow":
        timer = setInterval(() => {}, 1000);
        return;
      default:
        return response.end("page");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => {
    server.closeAllConnections();
    server.close();
  });
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return `http://127.0.0.1:${address.port}`;
}
