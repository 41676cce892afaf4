// @ts-check
// nginx in front, passing connections on as they are and saying by PROXY protocol whose they are: the application is told the client's own
// address, and what a client says of itself is nobody's.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { test } from "node:test";
import { later } from "./support/later.js";
import { SBIN, freePort, listening } from "./support/ports.js";
import { Server, folder, run } from "./support/program.js";
import { startSite } from "./support/site.js";

const STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so";
const skip = existsSync(STREAM) ? false : "nginx has no stream module here";

/** nginx that passes connections on. @param {import("./support/later.js").Owner} owner @param {string} to */
async function startBalancer(owner, to) {
  const dir = await folder(owner);
  const port = await freePort();
  const config = `
load_module ${STREAM};
daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 64; }
stream { server { listen 127.0.0.1:${port}; proxy_pass ${to}; proxy_protocol on; } }`;
  await writeFile(path.join(dir, "nginx.conf"), config);
  const server = new Server("nginx", ["-e", `${dir}/error.log`, "-c", path.join(dir, "nginx.conf")], SBIN);
  later(owner, () => server.stop());
  await listening(server, port);
  return `http://127.0.0.1:${port}`;
}

/** An application that says where its client is. @param {import("./support/later.js").Owner} owner */
async function startMirror(owner) {
  const server = http.createServer((request, response) => response.end(String(request.headers["x-forwarded-for"])));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => server.close());
  return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
}

test("behind nginx's PROXY protocol a client is where it is, whatever it says", { skip }, async (t) => {
  const proxied = `127.0.0.1:${await freePort()}`;
  const site = await startSite(t, {
    upstream: await startMirror(t),
    form: false,
    listen: `gateway_proxied = "${proxied}"\ntrusted_proxies = ["127.0.0.1"]`,
  });
  const balancer = await startBalancer(t, proxied);
  const { token } = await site.start({ subject: "ada" });
  const curl = (/** @type {string[]} */ ...args) =>
    run("curl", ["-s", "-m", "5", "--interface", "127.0.0.7", "-H", `Authorization: Bearer ${token}`, "-w", " %{http_code}", ...args]);

  assert.equal((await curl(balancer)).stdout, "127.0.0.7 200");
  const claims = ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9"].flatMap((claim) => ["-H", claim]);
  assert.equal((await curl(...claims, balancer)).stdout, "127.0.0.7 200");
  // A line of the client's own is no request, and speaks for nobody.
  assert.match((await curl("--haproxy-protocol", balancer)).stdout, / 400$/);
  // Past the balancer the line is anybody's, and this one is not trusted to write it.
  const past = await curl("--haproxy-protocol", `http://${proxied}`);
  assert.equal(past.stdout, " 000");
});
