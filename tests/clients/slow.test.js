// @ts-check
// slowhttptest (Slowloris and its kin) holds every seat that there is: head by head, body by body, and by reading next to nothing. Whoever
// comes next is served all the same, because nobody is waited for without end.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { describe, test } from "node:test";
import { ask } from "./support/http.js";
import { later } from "./support/later.js";
import { Server, run } from "./support/program.js";
import { startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

const SEATS = 30;
const LIMITS = `
connections = ${SEATS}
connections_per_address = ${SEATS}
head_within = "2s"
body_within = "2s"
write_within = "2s"
`;
/** Longer than any of it is waited for. */
const SECONDS = 30;

const skip = await run("slowhttptest", ["-h"]).then(() => false, () => "slowhttptest is not installed");

/** An application with much to say. @param {import("./support/later.js").Owner} owner */
async function startTalker(owner) {
  const answer = Buffer.alloc(8 << 20, "x");
  const server = http.createServer((request, response) => request.resume().on("end", () => response.end(request.url === "/short" ? "ok" : answer)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => server.close().closeAllConnections());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return `http://127.0.0.1:${port}`;
}

/** Connections that a port's server has accepted, as the kernel has them: one that still waits for that has no inode. @param {number} port */
async function accepted(port) {
  const lines = (await readFile("/proc/net/tcp", "utf8")).split("\n").slice(1, -1).map((line) => line.trim().split(/\s+/));
  const local = port.toString(16).toUpperCase().padStart(4, "0");
  return lines.filter(([, from, , state, , , , , , inode]) => from.endsWith(`:${local}`) && state === "01" && inode !== "0").length;
}

describe("slowhttptest", { concurrency: 3, skip }, () => {
  /** @type {[string, string[]][]} */
  const modes = [
    ["heads that never end", ["-H", "-i", "1"]],
    ["bodies that trickle", ["-B", "-i", "1", "-s", "8192", "-x", "10"]],
    ["readers of 32 bytes a second", ["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32"]],
  ];
  for (const [name, mode] of modes) {
    test(`${name}: their seats are free again, and whoever waited is served`, async (t) => {
      const app = `public = ["GET /**", "POST /**"]`;
      const site = await startSite(t, { upstream: await startTalker(t), form: false, app, limits: LIMITS });
      const held = () => accepted(Number(new URL(site.url).port));
      const length = ["-c", String(SEATS), "-r", "1000", "-l", String(SECONDS), "-p", "5", "-u", `${site.url}/`];
      const tool = new Server("slowhttptest", [...mode, ...length]);
      later(t, () => tool.stop("SIGKILL"));
      await eventually("every seat taken", async () => (await held()) === SEATS);
      const began = Date.now();
      assert.equal((await ask(`${site.url}/short`)).status, 200);
      t.diagnostic(`served after ${Date.now() - began} ms`);
      await eventually("their connections gone", async () => (await held()) < SEATS / 2);
      assert.equal((await ask(`${site.admin}/readyz`)).status, 200);
      // Who reads so little does not see for long that there is nothing more.
      if (mode[0] !== "-X") await tool.gone.then(() => assert.match(tool.stdout, /No open connections left/));
    });
  }
});
