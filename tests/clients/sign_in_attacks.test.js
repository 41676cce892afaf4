// @ts-check
// What a sign-in has to withstand: forged tokens, two providers played against each other, keys that change, a provider that is slow,
// a gateway that is started anew in between. The tokens are made by a library that is not ours.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { describe, test } from "node:test";
import * as jose from "jose";
import { issued } from "./support/certificate.js";
import { later } from "./support/later.js";
import { freePort } from "./support/ports.js";
import { Person, startProvider } from "./support/provider.js";
import { startSite } from "./support/site.js";

const COOKIE = "nightlatch-loopback";

/** An application that says who asks. @param {import("./support/later.js").Owner} owner */
async function startEcho(owner) {
  const server = http.createServer((request, response) => response.end(`subject=${request.headers["x-nightlatch-subject"]}`));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  later(owner, () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
}

/** @param {import("./support/later.js").Owner} owner @param {Parameters<typeof startProvider>[2]} [options] */
async function startPair(owner, options) {
  const gateway = `127.0.0.1:${await freePort()}`;
  const provider = await startProvider(owner, [`http://${gateway}/_nightlatch/callback`], options);
  const upstream = await startEcho(owner);
  const start = (/** @type {string | undefined} */ dir) =>
    startSite(owner, { upstream, gateway, dir, idle: "60s", absolute: "10m", ...provider.site() });
  return { provider, site: await start(undefined), start };
}

/** @param {Person} person @param {string} url @param {string} [code] none: signed in */
async function ends(person, url, code) {
  const page = await person.walk(url);
  if (code) assert.match(page.text, new RegExp(`<code[^>]*>\\d{3} ${code}</code>`));
  else assert.equal(page.text, `subject=${person.name}`);
  return page;
}

describe("what a sign-in withstands", { concurrency: 3 }, () => {
  test("a forged ID token signs nobody in, and the log says why", async (t) => {
    const { provider, site } = await startPair(t);
    const now = () => Math.floor(Date.now() / 1000);
    /** @typedef {Record<string, any>} Claims */
    /** Signed by the provider's own key, with other claims. @param {(claims: Claims) => Claims} change */
    const claims = (change) => async (/** @type {string} */ token, /** @type {Claims} */ key) =>
      new jose.SignJWT(change(jose.decodeJwt(token)))
        .setProtectedHeader({ alg: "ES256", kid: key.kid })
        .sign(/** @type {jose.CryptoKey} */ (await jose.importJWK(key, "ES256")));
    const unsigned = (/** @type {string} */ token) =>
      `${jose.base64url.encode('{"alg":"none"}')}.${token.split(".")[1]}.`;
    const hmac = (/** @type {string} */ token, /** @type {Claims} */ { d: _, ...open }) =>
      new jose.SignJWT(jose.decodeJwt(token)).setProtectedHeader({ alg: "HS256", kid: open.kid }).sign(Buffer.from(JSON.stringify(open)));
    const foreign = (/** @type {string} */ token, /** @type {Claims} */ key) =>
      new jose.SignJWT(jose.decodeJwt(token))
        .setProtectedHeader({ alg: "ES256", kid: key.kid })
        .sign(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
    const patched = (/** @type {string} */ token) => {
      const [head, , signature] = token.split(".");
      return `${head}.${jose.base64url.encode(JSON.stringify({ ...jose.decodeJwt(token), sub: "root" }))}.${signature}`;
    };
    /** @type {[string, (token: string, key: Claims) => string | Promise<string>, RegExp][]} */
    const rows = [
      ["alg none", unsigned, /signed with `none`/],
      ["HMAC with the public key", hmac, /signed with `HS256`/],
      ["another key under this name", foreign, /signature is wrong/],
      ["another subject under this signature", patched, /signature is wrong/],
      ["another issuer", claims((c) => ({ ...c, iss: "https://evil.example" })), /of another issuer/],
      ["another audience", claims((c) => ({ ...c, aud: "other" })), /not for this client/],
      ["others as well", claims((c) => ({ ...c, aud: [c.aud, "other"] })), /not for this client/],
      ["another nonce", claims((c) => ({ ...c, nonce: "of an earlier sign-in" })), /does not answer this sign-in/],
      ["no nonce", claims(({ nonce: _, ...c }) => c), /does not answer this sign-in/],
      ["expired", claims((c) => ({ ...c, exp: now() - 31 })), /has expired/],
      ["of the future", claims((c) => ({ ...c, iat: now() + 120 })), /`iat` lies in the future/],
      ["not valid yet", claims((c) => ({ ...c, nbf: now() + 120 })), /`nbf` lies in the future/],
      ["authenticated in the future", claims((c) => ({ ...c, auth_time: now() + 120 })), /`auth_time` lies in the future/],
      ["without auth_time", claims(({ auth_time: _, ...c }) => c), /no `auth_time`/],
    ];
    for (const [what, tamper, why] of rows) {
      provider.tamper(tamper);
      const eve = new Person("eve");
      const before = site.server.stderr.length;
      await ends(eve, `${site.url}/`, "sign-in-not-believed").catch((error) => assert.fail(`${what}: ${error.message}`));
      assert.equal(eve.jar(site.url).get(COOKIE), undefined, what);
      assert.match(site.server.stderr.slice(before), why, what);
    }
    provider.tamper(claims((c) => c));
    await ends(new Person("ada"), `${site.url}/`);
  });

  test("a new key is asked for when a token is signed with it, and a flood of unknown ones does not flood the provider", async (t) => {
    const { provider, site } = await startPair(t);
    const asked = () => provider.asked.filter((line) => line === "GET /jwks").length;
    await ends(new Person("ada"), `${site.url}/`);
    assert.equal(asked(), 1);
    // Keys were asked for a moment ago: whoever comes now is refused, until they may be asked for again.
    await provider.rotate("second");
    await ends(new Person("bob"), `${site.url}/`, "sign-in-not-believed");
    await ends(new Person("bob"), `${site.url}/`, "sign-in-not-believed");
    assert.equal(asked(), 1);
    await new Promise((resolve) => setTimeout(resolve, 10_500));
    await ends(new Person("bob"), `${site.url}/`);
    await ends(new Person("ada"), `${site.url}/`);
    assert.equal(asked(), 2);
  });

  test("over TLS a provider is believed by the authority that the firm names, and by no other", async (t) => {
    const [tls, other] = [await issued(t), await issued(t)];
    if (!tls || !other) return t.skip("needs openssl");
    const { site } = await startPair(t, { tls });
    await ends(new Person("ada", await readFile(tls.ca, "utf8")), `${site.url}/`);
    const gateway = `127.0.0.1:${await freePort()}`;
    const provider = await startProvider(t, [`http://${gateway}/_nightlatch/callback`], { tls });
    const wary = await startSite(t, { upstream: await startEcho(t), gateway, ...provider.site(`ca_file = "${other.ca}"`) });
    await ends(new Person("ada"), `${wary.url}/`, "provider-unreachable");
    assert.match(wary.server.stderr, /certificate/);
    assert.deepEqual(provider.asked, []);
  });

  test("a gateway that is started anew in between says so, and trying again works", async (t) => {
    const { site, start } = await startPair(t);
    const ada = new Person("ada");
    const { location } = await ada.walk(`${site.url}/orders`, { until: (url) => url.includes("/callback?") });
    await site.server.stop();
    const anew = await start(site.dir);
    const page = await ends(ada, /** @type {string} */ (location), "sign-in-not-begun-here");
    assert.equal(ada.jar(site.url).get(COOKIE), undefined);
    const [, again] = /** @type {RegExpMatchArray} */ (page.text.match(/href="(\/_nightlatch\/login[^"]*)"/));
    await ends(ada, anew.url + again);
  });

  test("of two providers each signs in its own, and neither can answer for the other", async (t) => {
    const gateway = `127.0.0.1:${await freePort()}`;
    const callback = (/** @type {string} */ name) => `http://${gateway}/_nightlatch/callback/${name}`;
    const firm = await startProvider(t, [callback("firm")]);
    const mixed = await startProvider(t, [callback("mixed")], { name: "mixed", nameless: true });
    const site = await startSite(t, { upstream: await startEcho(t), gateway, ...firm.site(), identity: `${firm.site().identity}\n${mixed.site().identity}` });
    const choice = await new Person("ada").walk(`${site.url}/orders`);
    assert.match(choice.text, /Where do you want to sign in\?/);
    const login = (/** @type {string} */ name) => `${site.url}/_nightlatch/login?provider=${name}&return_to=/orders`;
    for (const name of ["firm", "mixed"]) await ends(new Person("ada"), login(name));

    // Somebody begins at the hostile one, and it sends the browser on to the honest one with what the flow is made of.
    const ada = new Person("ada");
    const begun = await ada.step(login("mixed"));
    const asked = new URL(/** @type {string} */ (begun.location));
    const onwards = new URL(asked.href.replace(asked.origin, firm.issuer));
    assert.match((await ada.walk(onwards.href)).text, /redirect_uri/, "the honest one does not know that address");
    onwards.searchParams.set("redirect_uri", callback("firm"));
    const { location } = await ada.walk(onwards.href, { until: (url) => url.includes("/callback/") });
    const taken = new URL(/** @type {string} */ (location));
    mixed.asked.splice(0);
    // An honest one that does not name itself in its answers: only the address tells.
    taken.searchParams.delete("iss");
    await ends(ada, taken.href, "sign-in-not-believed");
    assert.deepEqual(mixed.asked, [], "the hostile one was not told the code");
    assert.equal(ada.jar(site.url).get(COOKIE), undefined);

    // The same where the address could not tell: it arrives where the flow said, and says whose it is.
    const bob = new Person("bob");
    const own = new URL(/** @type {string} */ ((await bob.step(login("mixed"))).location));
    const forged = new URL(callback("mixed"));
    forged.search = new URLSearchParams({ code: taken.searchParams.get("code") ?? "", state: own.searchParams.get("state") ?? "", iss: firm.issuer }).toString();
    await ends(bob, forged.href, "sign-in-not-believed");
    assert.deepEqual(mixed.asked.filter((line) => line === "POST /token"), []);
  });

  test("where the provider takes requests beforehand, the browser carries a reference and nothing that could be changed", async (t) => {
    for (const authentication of /** @type {const} */ (["client_secret_basic", "client_secret_post"])) {
      const { provider, site } = await startPair(t, { pushed: true, authentication });
      const begun = await new Person("ada").step(`${site.url}/_nightlatch/login`);
      const to = new URL(/** @type {string} */ (begun.location));
      assert.deepEqual([...to.searchParams.keys()], ["client_id", "request_uri"]);
      await ends(new Person("ada"), `${site.url}/`);
      assert.equal(provider.asked.filter((line) => line === "POST /request").length, 2);
    }
  });

  test("an answer that somebody else got does not sign a victim in as them", async (t) => {
    const { site } = await startPair(t);
    const eve = new Person("eve");
    const { location } = await eve.walk(`${site.url}/`, { until: (url) => url.includes("/callback?") });
    const ada = new Person("ada");
    await ends(ada, /** @type {string} */ (location), "sign-in-not-begun-here");
    // Nor with a flow of the victim's own under way, nor with eve's cookie under the name of hers.
    const own = new URL(/** @type {string} */ ((await ada.step(`${site.url}/_nightlatch/login`)).location)).searchParams.get("state") ?? "";
    const crossed = new URL(/** @type {string} */ (location));
    crossed.searchParams.set("state", own);
    await ends(ada, crossed.href, "sign-in-not-believed");
    assert.equal(ada.jar(site.url).get(COOKIE), undefined);
  });

  test("a provider that is slow is waited for a while; whoever is signed in notices nothing", async (t) => {
    const { provider, site } = await startPair(t);
    const ada = new Person("ada");
    await ends(ada, `${site.url}/`);
    const bob = new Person("bob");
    const { location } = await bob.walk(`${site.url}/`, { until: (url) => url.includes("/callback?") });
    provider.slow(8_000);
    const began = Date.now();
    const waiting = ends(bob, /** @type {string} */ (location), "provider-unreachable");
    await ends(ada, `${site.url}/`);
    assert.ok(Date.now() - began < 4_000, "a live session does not wait for a provider");
    await waiting;
    provider.slow(0);
    await ends(bob, `${site.url}/`);
  });
});
