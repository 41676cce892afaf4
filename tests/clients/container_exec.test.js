// @ts-check
// An exec in a container, opened by Docker's own library: the stream is relayed byte for byte, and reset when its session ends.
import assert from "node:assert/strict";
import http from "node:http";
import path from "node:path";
import { test } from "node:test";
import { later } from "./support/later.js";
import { ROOT, run } from "./support/program.js";
import { startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

const PYTHON = path.join(ROOT, ".venv/bin/python");

/**
 * The one route of the Docker engine that matters here (API 1.41, `POST /exec/{id}/start`), with a shell that shouts.
 * @param {import("./support/later.js").Owner} owner
 */
async function startEngine(owner) {
  /** @type {{request: string, body: string, typed: string, closed: boolean}[]} */
  const execs = [];
  const server = http.createServer((_, response) => response.writeHead(404).end());
  server.on("upgrade", (request, socket, head) => {
    const exec = { request: `${request.method} ${request.url} ${request.headers.upgrade}`, body: "", typed: "", closed: false };
    execs.push(exec);
    const length = Number(request.headers["content-length"]);
    const take = (/** @type {Buffer} */ data) => {
      const body = data.subarray(0, length - exec.body.length);
      exec.body += body;
      if (exec.body.length === length && exec.typed === "" && body.length > 0) {
        socket.write("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
      }
      const typed = String(data.subarray(body.length));
      exec.typed += typed;
      if (typed !== "") socket.write(typed.toUpperCase());
    };
    socket.on("error", () => {});
    socket.on("close", () => (exec.closed = true));
    socket.on("data", take);
    if (head.length > 0) take(head);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => server.close());
  return { execs, url: `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}` };
}

test("an exec by Docker's library passes as it is, and is reset when an operator ends the session", async (t) => {
  const engine = await startEngine(t);
  const site = await startSite(t, { upstream: engine.url, app: 'upgrades = ["tcp"]', idle: "30s", form: false });
  const { id, token } = await site.start({ subject: "ada" });
  const script = path.join(ROOT, "tests/clients/python/container_exec.py");
  const running = run(PYTHON, [script, site.url, token]);
  const [exec] = await eventually("what was typed", () => engine.execs[0]?.typed === "make me loud\nheard\n" && engine.execs);
  assert.equal(exec.request, "POST /v1.41/exec/1/start tcp");
  assert.deepEqual(JSON.parse(exec.body), { Tty: true, Detach: false });
  await site.api("operator", `DELETE /v1/sessions/${id}`);

  const { code, stdout, stderr } = await running;
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { seen: "MAKE ME LOUD\n", ended: "reset" });
  const cut = await site.recorded(id, "cut");
  assert.deepEqual([cut.channel, cut.how, cut.reason], ["upgrade", "reset", "revoked"]);
  await eventually("the engine hearing of it", () => exec.closed);
});
