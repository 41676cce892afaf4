// @ts-check
// Somebody signs out at a real OpenID provider, and what is open here is cut.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { ask } from "./support/http.js";
import { later, shared } from "./support/later.js";
import { freePort } from "./support/ports.js";
import { Person, startProvider } from "./support/provider.js";
import { startSite } from "./support/site.js";

/** An application with pages and sockets. @param {import("./support/later.js").Owner} owner */
async function startDesk(owner) {
  const server = http.createServer(({ headers }, response) => response.end(headers["x-nightlatch-session"]));
  const sockets = new WebSocketServer({ server });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  later(owner, () => {
    sockets.close();
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
}

describe("back-channel logout", () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startSite>>} */
  let site;
  /** @type {Awaited<ReturnType<typeof startProvider>>} */
  let provider;
  before(async () => {
    const gateway = `127.0.0.1:${await freePort()}`;
    const own = `http://${gateway}/_nightlatch`;
    provider = await startProvider(file, [`${own}/callback`], { backchannel: `${own}/backchannel-logout` });
    site = await startSite(file, { upstream: await startDesk(file), gateway, idle: "60s", absolute: "10m", ...provider.site() });
  });

  test("whoever signs out at the provider has an open WebSocket here cut, and nobody else has", async () => {
    const [ada, bob] = [new Person("ada"), new Person("bob")];
    const session = (await ada.walk(`${site.url}/`)).text;
    await bob.walk(`${site.url}/`);
    const open = async (/** @type {Person} */ person) => {
      const cookie = [...person.jar(site.url)].map((pair) => pair.join("=")).join("; ");
      const socket = new WebSocket(`${site.url.replace("http", "ws")}/ws`, { headers: { Cookie: cookie, Origin: site.url } });
      await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
      return socket;
    };
    const [adas, bobs] = [await open(ada), await open(bob)];
    const closed = new Promise((resolve) => adas.once("close", (code, reason) => resolve([code, String(reason)])));
    const confirm = await ada.step(`${provider.issuer}/session/end`);
    const [, action] = /** @type {RegExpMatchArray} */ (confirm.text.match(/action="([^"]+)"/));
    const [, xsrf] = /** @type {RegExpMatchArray} */ (confirm.text.match(/name="xsrf" value="([^"]+)"/));
    await ada.step(action, { xsrf, logout: "yes" });
    assert.deepEqual(await closed, [3008, "provider_logout"]);
    assert.equal(bobs.readyState, WebSocket.OPEN);
    const end = await site.recorded(session, "session_ended");
    assert.deepEqual([end.reason, end.by], ["provider_logout", "provider"]);
    const [said, ...more] = provider.posted;
    assert.deepEqual([said.url, more.length], [`${site.url}/_nightlatch/backchannel-logout`, 0]);
    bobs.terminate();

    // She signs in again, and whoever had overheard the token says it again.
    const again = await ada.walk(`${site.url}/_nightlatch/login?provider=firm`);
    assert.notEqual(again.text, session);
    const replayed = await ask(said.url, { method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: said.body });
    assert.deepEqual([replayed.status, JSON.parse(replayed.text).error_description], [400, "the logout token was used before"]);
    assert.equal((await ada.step(`${site.url}/`)).text, again.text);
  });

  test("what is no token of the provider is answered with 400 that is not kept, and ends nothing", async () => {
    const ada = new Person("ada");
    await ada.walk(`${site.url}/`);
    const forged = (/** @type {object} */ head, /** @type {object} */ claims) =>
      `${[head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")}.AAAA`;
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: provider.issuer, aud: "nightlatch", sub: "ada", iat: now, exp: now + 120, jti: "x", events: { "http://schemas.openid.net/event/backchannel-logout": {} } };
    for (const body of ["", "logout_token=", "logout_token=a&logout_token=b", `logout_token=${forged({ alg: "none" }, claims)}`, `logout_token=${forged({ alg: "RS256" }, claims)}`]) {
      const answer = await ask(`${site.url}/_nightlatch/backchannel-logout`, {
        method: "POST",
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body,
      });
      assert.deepEqual([answer.status, answer.headers["cache-control"]], [400, "no-cache, no-store"], body);
      assert.equal(JSON.parse(answer.text).error, "invalid_request");
    }
    assert.equal((await ada.step(`${site.url}/`)).status, 200);
  });
});
