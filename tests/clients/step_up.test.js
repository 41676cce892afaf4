// @ts-check
// Proving it again: a page that needs a fresh sign-in leads a person to the provider and back, and the same session goes on.
import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";
import { ask } from "./support/http.js";
import { later } from "./support/later.js";
import { freePort } from "./support/ports.js";
import { Person, startProvider } from "./support/provider.js";
import { startSite } from "./support/site.js";

const COOKIE = "nightlatch-loopback";
const SENSITIVE = `sensitive = [{ route = "/pay/**", authentication_age = "2s" }, { route = "/vault/**", authentication_age = "5m", acr = "phr" }]`;

/** @param {import("./support/later.js").Owner} owner @param {string} [lines] of the provider's table */
async function startPair(owner, lines) {
  const server = http.createServer(({ headers }, response) => response.end(`<pre>${JSON.stringify(headers)}</pre>`));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  later(owner, () => {
    server.closeAllConnections();
    server.close();
  });
  const upstream = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  const gateway = `127.0.0.1:${await freePort()}`;
  const provider = await startProvider(owner, [`http://${gateway}/_nightlatch/callback`]);
  return startSite(owner, { upstream, gateway, idle: "60s", absolute: "10m", app: SENSITIVE, ...provider.site(lines) });
}

/** @param {{text: string}} answer */
const session = (answer) => JSON.parse(answer.text.replace(/<[^>]*>/g, ""))["x-nightlatch-session"];
const wait = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

describe("proving it again", { concurrency: 3 }, () => {
  test("a program is challenged, a person goes to the provider and comes back, and the session goes on without a later end", async (t) => {
    // The firm takes older authentications at sign-in; here one has to be made.
    const site = await startPair(t, 'provider_session_max_age = "5m"');
    const ada = new Person("ada");
    const first = session(await ada.walk(`${site.url}/`));
    const old = ada.jar(site.url).get(COOKIE);
    const state = async () => JSON.parse((await ask(`${site.url}/_nightlatch/session`, { headers: { Cookie: `${COOKIE}=${ada.jar(site.url).get(COOKIE)}` } })).text);
    const before = await state();
    await wait(2100);
    const program = await ask(`${site.url}/pay/1`, { headers: { Cookie: `${COOKIE}=${old}` } });
    assert.equal(program.status, 401);
    assert.match(String(program.headers["www-authenticate"]), /insufficient_user_authentication.*max_age="2"/);
    ada.took();
    const page = await ada.walk(`${site.url}/pay/1?to=bob`);
    assert.equal(ada.took()[0], "login", "the provider asked");
    assert.equal(page.url, `${site.url}/pay/1?to=bob`);
    assert.equal(session(page), first);
    assert.notEqual(ada.jar(site.url).get(COOKIE), old);
    // 2.1 s went by at least.
    assert.ok((await state()).absolute_remaining_ms <= before.absolute_remaining_ms - 2100, "the hard end has not moved");
    const record = await site.record(first);
    const added = record.find(({ what }) => what === "authentication_added");
    assert.equal(added?.cause, "sign_in");
    assert.ok(!record.some(({ what }) => what === "session_ended"));
    // What was sent before by another tab is served for the overlap.
    assert.equal((await ask(`${site.url}/`, { headers: { Cookie: `${COOKIE}=${old}` } })).status, 200);
  });

  test("somebody else at the provider gets nothing of the session that was here", async (t) => {
    const site = await startPair(t);
    const ada = new Person("ada");
    const first = session(await ada.walk(`${site.url}/`));
    await wait(2100);
    const bob = new Person("bob");
    for (const [name, value] of ada.jar(site.url)) bob.jar(site.url).set(name, value);
    const page = await bob.walk(`${site.url}/pay/1`);
    assert.equal(page.url, `${site.url}/`, "not even the place");
    assert.notEqual(session(page), first);
    const record = await site.record(first);
    assert.ok(!record.some(({ what }) => what === "authentication_added"));
    assert.ok(record.some(({ what }) => what === "session_ended"));
  });

  test("a provider that does not answer with the acr that was asked for is asked once more, and the session stays as it was", async (t) => {
    const site = await startPair(t);
    const ada = new Person("ada");
    const first = session(await ada.walk(`${site.url}/`));
    ada.took();
    const login = await ada.step(/** @type {string} */ ((await ada.step(`${site.url}/vault/1`)).location));
    assert.equal(new URL(/** @type {string} */ (login.location)).searchParams.get("acr_values"), "phr");
    const page = await ada.walk(`${site.url}/vault/1`);
    assert.match(page.text, /403 sign-in-too-weak/);
    assert.equal(ada.took().filter((prompt) => prompt === "login").length, 2);
    assert.equal(session(await ada.walk(`${site.url}/`)), first);
    const made_up = await ada.step(`${site.url}/_nightlatch/login?acr_values=nobody-has-it&return_to=/`);
    assert.equal(new URL(/** @type {string} */ (made_up.location)).searchParams.get("acr_values"), null);
  });
});
