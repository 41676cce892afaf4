// @ts-check
// curl signs in with NTLM to a server that, like IIS, takes whoever speaks on a connection for the one who signed in on it.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { certificate } from "./support/certificate.js";
import { ask } from "./support/http.js";
import { later } from "./support/later.js";
import { run } from "./support/program.js";
import { startSite } from "./support/site.js";

/** The server's leg (MS-NLMP section 2.2.1.2): no target, a challenge, names in one byte a letter. */
const CHALLENGE = Buffer.concat([
  Buffer.from("NTLMSSP\0\x02\0\0\0", "latin1"),
  Buffer.alloc(8),
  Buffer.from([0x02, 0x82, 0, 0]),
  Buffer.from("01234567"),
  Buffer.alloc(16),
]).toString("base64");

/** The user that a client's last leg names (section 2.2.1.3). @param {Buffer} message */
function userOf(message) {
  const at = message.readUInt32LE(40);
  return message.subarray(at, at + message.readUInt16LE(36)).toString("latin1");
}

/** @param {import("./support/later.js").Owner} owner */
async function startWindows(owner) {
  /** @type {WeakMap<import("node:net").Socket, string>} */
  const users = new WeakMap();
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const [, token = ""] = /^NTLM (.*)$/.exec(request.headers.authorization ?? "") ?? [];
    const message = Buffer.from(token, "base64");
    const leg = message.length > 12 ? message.readUInt32LE(8) : 0;
    if (leg === 3) users.set(request.socket, userOf(message));
    const user = users.get(request.socket);
    if (user !== undefined && leg !== 1) return void response.end(user);
    response.writeHead(401, { "WWW-Authenticate": leg === 1 ? `NTLM ${CHALLENGE}` : "NTLM" }).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
}

test("over TLS a client that begins with HTTP/2 is sent to HTTP/1.1, where it works", async (t) => {
  const certified = await certificate(t);
  if (!certified) return t.skip("openssl is missing, so there is no certificate to try TLS with");
  const { cert, tls } = certified;
  const site = await startSite(t, { upstream: await startWindows(t), idle: "30s", form: false, tls });
  const { token } = await site.start({ subject: "ada" });
  const ntlm = ["--http2", "--ntlm", "--user", "ada.l:secret", "--header", `Cookie: __Host-nightlatch=${token}`];
  const asked = await run("curl", ["--silent", "--show-error", "--cacert", cert, ...ntlm, "--write-out", " %{http_version}", `${site.url}/`]);
  assert.equal(asked.stdout, "ada.l 1.1", asked.stderr);
});

test("curl --ntlm signs in through the gateway, and nobody else is taken for that user", async (t) => {
  const site = await startSite(t, { upstream: await startWindows(t), idle: "30s", form: false });
  const [ada, bob] = [await site.start({ subject: "ada" }), await site.start({ subject: "bob" })];
  const cookie = (/** @type {string} */ token) => `Cookie: nightlatch-loopback=${token}`;
  const ntlm = (/** @type {string} */ token, /** @type {string} */ user, /** @type {string[]} */ ...urls) =>
    run("curl", ["--silent", "--show-error", "--ntlm", "--user", `${user}:secret`, "--header", cookie(token), ...urls]);

  const two = await ntlm(ada.token, "ada.l", `${site.url}/one`, `${site.url}/two`);
  assert.equal(two.stdout, "ada.lada.l", two.stderr);
  for (const { token } of [ada, bob]) {
    const other = await ask(site.url, { headers: { Cookie: `nightlatch-loopback=${token}` } });
    assert.equal(other.status, 401);
    assert.equal(other.headers["www-authenticate"], "NTLM", "the application asks, as it asks anybody");
  }
  const both = await Promise.all([ntlm(ada.token, "ada.l", `${site.url}/`), ntlm(bob.token, "bob.m", `${site.url}/`)]);
  assert.deepEqual(both.map(({ stdout }) => stdout), ["ada.l", "bob.m"]);
});
