// @ts-check
// The doors: what stopping does to who is inside, and certificates that change while people are connected.
import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFile, stat } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { describe, test } from "node:test";
import tls from "node:tls";
import { WebSocket } from "ws";
import { ask } from "./support/http.js";
import { ROOT, Server, folder, run } from "./support/program.js";
import { DESK_APP, startDeskSite, startSite } from "./support/site.js";
import { eventually, sleep } from "./support/wait.js";

/** @param {string} dir @param {string} name */
async function certificate(dir, name) {
  const [key, cert] = [path.join(dir, `${name}.key`), path.join(dir, `${name}.pem`)];
  const made = await run("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:desk.test", "-keyout", key, "-out", cert],
  ]);
  assert.equal(made.code, 0, made.stderr);
  return { key, cert };
}

/** A port that nobody has, as far as can be known. */
async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  await new Promise((closed) => server.close(closed));
  return port;
}

describe("doors", { concurrency: 2 }, () => {
  test("SIGTERM: WebSockets are told 1012, readiness is red at once, the session lives on", async (t) => {
    const site = await startDeskSite(t, { idle: "30s" });
    const session = await site.start({ subject: "trader" });
    const bearer = { Authorization: `Bearer ${session.token}` };
    /** @type {Promise<{code: number, reason: string}>[]} */
    const closed = [];
    for (let n = 0; n < 4; n++) {
      const socket = new WebSocket(`${site.url.replace("http:", "ws:")}/ws/quotes`, { headers: bearer });
      socket.on("error", () => {});
      closed.push(new Promise((told) => socket.on("close", (code, why) => told({ code, reason: String(why) }))));
      await new Promise((opened) => socket.on("open", opened));
    }
    const stopped = site.server.stop();
    const ready = await eventually("readiness is red", async () => {
      const answer = await ask(`${site.admin}/readyz`);
      return answer.status === 503 && answer;
    });
    assert.match(ready.text, /stopping/);
    assert.equal((await ask(`${site.admin}/readyz/enforcing`)).status, 200);
    await assert.rejects(ask(site.url));
    for (const { code, reason } of await Promise.all(closed)) {
      assert.deepEqual({ code, reason }, { code: 1012, reason: "restart" });
    }
    const told = Date.now();
    await stopped;
    const again = await startSite(t, { upstream: site.desk.url, app: DESK_APP, dir: site.dir, idle: "30s" });
    assert.equal((await ask(`${again.url}/api/positions`, { headers: bearer })).status, 200);
    t.diagnostic(`${Date.now() - told} ms from the last WebSocket's close to the next answer`);
  });

  test("SIGHUP: a new certificate is served, a bad one is not, and who is connected stays", async (t) => {
    const dir = await folder(t);
    const [first, second] = [await certificate(dir, "first"), await certificate(dir, "second")];
    await copyFile(first.cert, path.join(dir, "cert.pem"));
    await copyFile(first.key, path.join(dir, "key.pem"));
    const site = await startDeskSite(t, { dir, tls: `{ cert = "cert.pem", key = "key.pem" }`, idle: "30s", form: false });
    const port = Number(new URL(site.url).port);
    /** @param {Buffer} [session] */
    const connect = (session) =>
      new Promise((done, failed) => {
        const options = { port, host: "127.0.0.1", servername: "desk.test", rejectUnauthorized: false, session };
        const socket = tls.connect(options, () =>
          done({ socket, name: socket.getPeerCertificate().subject?.CN, resumed: socket.isSessionReused() }),
        );
        socket.on("error", failed);
      });
    const old = await connect();
    assert.equal(old.name, "first");
    const ticket = new Promise((got) => old.socket.once("session", got));
    /** @param {string} said */
    const told = (said) => eventually(said, () => site.server.stderr.includes(said));

    await copyFile(second.cert, path.join(dir, "cert.pem"));
    site.server.child.kill("SIGHUP");
    await told("could not be read again");
    assert.equal((await connect()).name, "first", "a certificate without its key is not taken");

    await copyFile(second.key, path.join(dir, "key.pem"));
    site.server.child.kill("SIGHUP");
    await told("are in use");
    const fresh = await connect();
    assert.equal(fresh.name, "second");
    const s_client = await run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "desk.test"]);
    assert.match(s_client.stdout, /subject=CN *= *second/);

    old.socket.write("GET /healthz HTTP/1.1\r\nHost: desk.test\r\n\r\n");
    const answer = await new Promise((got) => old.socket.once("data", got));
    assert.match(String(answer), /^HTTP\/1.1 200/);
    const back = await connect(/** @type {Buffer} */ (await ticket));
    assert.equal(back.resumed, true, "the ticket of before is good");
    const metrics = await ask(`${site.admin}/metrics`);
    assert.match(metrics.text, /certificate_reloads_total\{result="done"\} 1/);
    assert.match(metrics.text, /certificate_reloads_total\{result="failed"\} 1/);
    [old, fresh, back].forEach(({ socket }) => socket.destroy());
  });

  test("a load balancer says whose connection it is, a socket file is there, and an old one is replaced", async (t) => {
    const dir = await folder(t);
    const proxied = `127.0.0.1:${await freePort()}`;
    const socket = path.join(dir, "gateway.sock");
    const listen = `gateway_proxied = "${proxied}"\ngateway_unix = "unix:${socket}"\ntrusted_proxies = ["127.0.0.1"]`;
    const site = await startDeskSite(t, { dir, listen, form: false });
    const { token } = await site.start({ subject: "trader" });
    const bearer = ["-s", "-m", "5", "-H", `Authorization: Bearer ${token}`];
    for (const [args, status] of /** @type {[string[], string][]} */ ([
      [["--haproxy-protocol", `http://${proxied}/api/positions`], "200"],
      [[`http://${proxied}/api/positions`], "000"],
      [["--haproxy-protocol", `${site.url}/api/positions`], "400"],
      [["--unix-socket", socket, "http://desk/api/positions"], "200"],
    ])) {
      const answer = await run("curl", [...bearer, "-o", "/dev/null", "-w", "%{http_code}", ...args]);
      assert.equal(answer.stdout, status, args.join(" "));
    }
    assert.equal((await stat(socket)).mode & 0o777, 0o660);
    await site.server.stop("SIGKILL");
    const again = await startSite(t, { upstream: site.desk.url, app: DESK_APP, dir, listen, form: false });
    const answer = await run("curl", [...bearer, "--unix-socket", socket, "http://desk/api/positions"]);
    assert.equal(answer.code, 0, "the file of the killed one was replaced");
    await again.server.stop();
  });

  test("restarted under a socket that is held for it: nobody is refused, everybody is answered", async (t) => {
    const port = await freePort();
    const gateway = `127.0.0.1:${port}`;
    const binary = path.resolve(ROOT, process.env.NIGHTLATCH_BIN ?? "target/debug/nightlatch");
    const holder = path.join(ROOT, "tests/clients/python/hold_socket.py");
    const start = (/** @type {string[]} */ args) => new Server("python3", [holder, String(port), binary, ...args]);
    const site = await startDeskSite(t, { gateway, start, idle: "30s", form: false });
    const { token } = await site.start({ subject: "trader" });
    let [running, answered] = [true, 0];
    /** @type {string[]} */
    const failed = [];
    let longest = 0;
    const clients = Array.from({ length: 8 }, async () => {
      while (running) {
        const asked = Date.now();
        const headers = { Authorization: `Bearer ${token}`, Connection: "close" };
        const answer = await ask(`http://${gateway}/api/positions`, { headers }).catch((error) => String(error));
        if (typeof answer !== "string" && answer.status === 200) answered += 1;
        else failed.push(typeof answer === "string" ? answer : `${answer.status}`);
        longest = Math.max(longest, Date.now() - asked);
      }
    });
    const runs = () => site.server.stdout.trim().split("\n").map(Number);
    const serving = () => site.server.stderr.split("\n").filter((line) => line.includes('"serving"')).length;
    for (let round = 1; round <= 3; round++) {
      await sleep(300);
      process.kill(runs().at(-1) ?? 0, "SIGTERM");
      await eventually("the next run serving", () => serving() > round);
    }
    await sleep(300);
    running = false;
    await Promise.all(clients);
    assert.deepEqual(failed, []);
    t.diagnostic(`${answered} answers over 3 restarts, none refused; the longest wait was ${longest} ms`);
  });

  test("passed sockets that are none to listen on, it opens its own, answers, and hears SIGTERM", async (t) => {
    const binary = path.resolve(ROOT, process.env.NIGHTLATCH_BIN ?? "target/debug/nightlatch");
    const passes = path.join(ROOT, "tests/clients/python/odd_sockets.py");
    const kinds = ["bound", "datagrams", "connected", "a file", "listening twice", "fewer than announced"];
    for (const kind of kinds) {
      const port = await freePort();
      const start = (/** @type {string[]} */ args) => new Server("python3", [passes, kind, String(port), binary, ...args]);
      const site = await startSite(t, { upstream: "http://127.0.0.1:9", gateway: `127.0.0.1:${port}`, start, form: false });
      assert.equal((await ask(`http://127.0.0.1:${port}/api/positions`)).status, 401, kind);
      assert.equal(site.server.stderr.includes("could not be accepted"), false, kind);
      assert.match(site.server.stderr, /a socket was passed that/, kind);
      await site.server.stop();
      assert.equal(site.server.ended, 0, kind);
    }
  });
});
