// @ts-check
// Sign-in at a real OpenID provider: what begins a session, what does not, and that an ended one does not come back in silence.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { startChromium } from "./support/chromium.js";
import { ask } from "./support/http.js";
import { later, shared } from "./support/later.js";
import { freePort } from "./support/ports.js";
import { Person, startProvider } from "./support/provider.js";
import { startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

const COOKIE = "nightlatch-loopback";
const CALLBACK = "/_nightlatch/callback?";

/** An application that says what it was asked. @param {import("./support/later.js").Owner} owner */
async function startEcho(owner) {
  const server = http.createServer(({ url, headers }, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<title>Desk</title><pre>${JSON.stringify({ url, headers })}</pre>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  later(owner, () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
}

/** @param {{text: string}} answer */
const seen = (answer) => JSON.parse(answer.text.replace(/<[^>]*>/g, "").replace("Desk", ""));

/**
 * A gateway that signs people in at a provider.
 * @param {import("./support/later.js").Owner} owner
 * @param {{lines?: string, idle?: string, authentication?: "client_secret_basic" | "client_secret_post"}} [options]
 */
async function startPair(owner, { lines, idle = "60s", authentication } = {}) {
  const gateway = `127.0.0.1:${await freePort()}`;
  const provider = await startProvider(owner, [`http://${gateway}/_nightlatch/callback`], { authentication });
  const site = await startSite(owner, { upstream: await startEcho(owner), gateway, idle, absolute: "10m", ...provider.site(lines) });
  return { provider, site };
}

describe("sign-in at a provider", { concurrency: 3 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startPair>>} */
  let pair;
  before(async () => {
    pair = await startPair(file, { lines: 'scopes = ["openid", "groups"]\ngroups_claim = "groups"' });
  });

  /** As far as the answer of the provider, which is not given yet. @param {Person} person @param {string} [at] */
  const answered = async (person, at = "/") =>
    /** @type {string} */ ((await person.walk(pair.site.url + at, { until: (url) => url.includes(CALLBACK) })).location);

  test("somebody asks for a page, signs in, and gets it, as the subject that the provider names", async () => {
    const { site, provider } = pair;
    const ada = new Person("ada");
    const page = await ada.walk(`${site.url}/orders?id=7`);
    assert.deepEqual(ada.took(), ["login", "consent"]);
    assert.equal(page.url, `${site.url}/orders?id=7`);
    const { url, headers } = seen(page);
    assert.equal(url, "/orders?id=7");
    assert.equal(headers["x-nightlatch-subject"], "ada");
    assert.equal(headers["x-nightlatch-provider"], provider.issuer);
    assert.equal(headers["x-nightlatch-groups"], "traders,desk%204");
    assert.equal(headers.cookie, undefined, "no cookie of ours reaches the application");
    assert.deepEqual([...ada.jar(site.url).keys()], [COOKIE], "the flow's cookie is gone");
    const [started] = await site.record(headers["x-nightlatch-session"]);
    assert.deepEqual([started.what, started.cause], ["session_started", "sign_in"]);
    assert.ok(Math.abs(Date.now() - started.started) < 60_000);
    assert.ok(!JSON.stringify(started).includes("ada"), "the record has a pseudonym");
  });

  test("the provider is asked for PKCE, a nonce and a new authentication, and the flow is a cookie of its own", async () => {
    const begun = await new Person("ada").step(`${pair.site.url}/_nightlatch/login?return_to=/x`);
    assert.equal(begun.status, 303);
    const to = new URL(/** @type {string} */ (begun.location));
    assert.equal(to.origin, pair.provider.issuer);
    const said = Object.fromEntries(to.searchParams);
    assert.deepEqual([said.response_type, said.code_challenge_method, said.prompt, said.max_age], ["code", "S256", "login", "0"]);
    assert.equal(said.redirect_uri, `${pair.site.url}/_nightlatch/callback`);
    assert.match(said.nonce, /^[\w-]{43}$/);
    assert.match(said.code_challenge, /^[\w-]{43}$/);
    const [line] = begun.headers["set-cookie"] ?? [];
    assert.match(line, new RegExp(`^${COOKIE}-flow-${said.state}=[\\w.-]+; Path=/; Max-Age=600; HttpOnly; SameSite=Lax$`));
    assert.ok(!line.includes(said.nonce));
  });

  test("return_to leads to a path of this site and nowhere else", async () => {
    for (const [asked, kept] of [
      ["/orders%3Fid=7", "/orders?id=7"],
      ["//evil.example", "/evil.example"],
      ["https://evil.example", "/"],
      ["javascript:alert(1)", "/"],
      ["/%5Cevil.example", "/"],
      ["%5C%5Cevil.example", "/"],
      ["/%2509/evil.example", "/"],
      ["%2F%2Fuser@evil.example", "/user@evil.example"],
      ["/_nightlatch/logout", "/"],
      ["/x%0d%0aSet-Cookie:a=b", "/"],
      [`/${"a".repeat(3000)}`, "/"],
    ]) {
      const begun = await new Person("ada").step(`${pair.site.url}/_nightlatch/login?return_to=${asked}`);
      const value = (begun.headers["set-cookie"] ?? [""])[0].split(/[=.]/)[1];
      assert.equal(JSON.parse(Buffer.from(value, "base64url").toString()).return_to, kept, asked);
    }
  });

  test("an answer counts once, in the browser that asked, and as it was given", async () => {
    const { site } = pair;
    const refused = async (/** @type {Person} */ person, /** @type {string} */ url, /** @type {[number, string]} */ [status, code]) => {
      const answer = await person.step(url);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.text, new RegExp(`<code[^>]*>${status} ${code}</code>`));
      assert.match(answer.text, /href="\/_nightlatch\/login\?return_to=\/"[^>]*>Sign in again/);
      assert.equal(person.jar(site.url).get(COOKIE), undefined);
    };
    const ada = new Person("ada");
    const callback = await answered(ada);
    const with_ = (/** @type {Record<string, string>} */ changed) => {
      const url = new URL(callback);
      for (const [name, value] of Object.entries(changed)) url.searchParams.set(name, value);
      return url.href;
    };
    await refused(new Person("eve"), callback, [400, "sign-in-not-begun-here"]);
    await refused(ada, with_({ state: "AAAAAAAAAAAAAAAAAAAAAA" }), [400, "sign-in-not-begun-here"]);
    const head = await ask(callback, { method: "HEAD" });
    assert.equal(head.status, 405, "whoever only looks does not use it up");
    // The browser keeps the cookie of its flow through all of this, or it could not be finished.
    const kept = [...ada.jar(site.url)];
    if (kept.length === 0) assert.fail("the flow's cookie is gone");
    assert.equal((await ada.step(callback)).location, `${site.url}/`);
    const again = new Person("ada");
    for (const [name, value] of kept) again.jar(site.url).set(name, value);
    await refused(again, callback, [400, "sign-in-used"]);

    for (const [change, expected] of /** @type {[Record<string, string>, [number, string]][]} */ ([
      [{ iss: "https://evil.example" }, [502, "sign-in-not-believed"]],
      [{ code: "made-up" }, [502, "sign-in-not-believed"]],
    ])) {
      const other = new Person("ada");
      const url = new URL(await answered(other));
      for (const [name, value] of Object.entries(change)) url.searchParams.set(name, value);
      await refused(other, url.href, expected);
    }
    const twice = new Person("ada");
    await refused(twice, `${await answered(twice)}&state=AAAAAAAAAAAAAAAAAAAAAA`, [400, "sign-in-not-begun-here"]);
    const unnamed = new Person("ada");
    const url = new URL(await answered(unnamed));
    url.searchParams.delete("iss");
    await refused(unnamed, url.href, [502, "sign-in-not-believed"]);
    const declined = new Person("ada");
    const asked = new URL(await answered(declined));
    asked.searchParams.delete("code");
    asked.searchParams.set("error", "access_denied");
    await refused(declined, asked.href, [403, "sign-in-declined"]);
  });

  test("a code stolen from one browser is of no use in a flow of another", async () => {
    const [ada, eve] = [new Person("ada"), new Person("eve")];
    const stolen = new URL(await answered(ada)).searchParams.get("code") ?? "";
    const own = new URL(await answered(eve));
    own.searchParams.set("code", stolen);
    const answer = await eve.step(own.href);
    assert.match(answer.text, /502 sign-in-not-believed/);
  });

  test("somebody whose groups are not known is not signed in", async () => {
    const nobody = new Person("nobody");
    const page = await nobody.walk(`${pair.site.url}/`);
    assert.match(page.text, /403 sign-in-without-groups/);
    assert.equal(nobody.jar(pair.site.url).get(COOKIE), undefined);
  });

  test("eight tabs that ask at once each come back, the oldest given up", async () => {
    const ada = new Person("ada");
    const begun = [];
    for (let tab = 0; tab < 8; tab++) begun.push(await ada.step(`${pair.site.url}/_nightlatch/login?return_to=/tab${tab}`));
    assert.equal([...ada.jar(pair.site.url).keys()].filter((name) => name.startsWith(`${COOKIE}-flow-`)).length, 6);
    const last = await ada.walk(/** @type {string} */ (begun[7].location));
    assert.equal(last.url, `${pair.site.url}/tab7`);
    const earlier = await ada.walk(/** @type {string} */ (begun[3].location));
    assert.equal(earlier.url, `${pair.site.url}/tab3`);
    assert.match((await ada.walk(/** @type {string} */ (begun[0].location))).text, /sign-in-not-begun-here/);
  });

  test("after an idle end, and without a cookie, nobody comes back in silence although the provider's session lives", async (t) => {
    const { site, provider } = await startPair(t, { idle: "2s", authentication: "client_secret_post" });
    const ada = new Person("ada");
    const first = seen(await ada.walk(`${site.url}/`)).headers["x-nightlatch-session"];
    assert.deepEqual(ada.took(), ["login", "consent"]);
    await site.recorded(first, "session_ended");
    const told = await ada.walk(`${site.url}/orders`);
    assert.match(told.text, /You are signed out\./);
    assert.match(told.text, /Nothing happened for 2 seconds/);
    const link = /** @type {RegExpMatchArray} */ (told.text.match(/href="(\/_nightlatch\/login[^"]*)"/))[1].replaceAll("&#38;", "&").replaceAll("&amp;", "&");
    assert.deepEqual(ada.took(), [], "nobody was asked yet");
    const back = await ada.walk(site.url + link);
    assert.equal(ada.took()[0], "login", "the provider asked again");
    assert.equal(back.url, `${site.url}/orders`);
    const second = seen(back).headers["x-nightlatch-session"];
    assert.notEqual(second, first);
    const [started] = await site.record(second);
    assert.equal(started.continues, first);

    // The same browser with the cookie deleted: as if it had never been here.
    ada.jar(site.url).clear();
    assert.equal((await ada.walk(`${site.url}/orders`)).url, `${site.url}/orders`);
    assert.equal(ada.took()[0], "login");
    // The provider's session did live all the time: without us asking for more, it would have let her pass.
    const silent = await ada.step(`${site.url}/_nightlatch/login`);
    const to = new URL(/** @type {string} */ (silent.location));
    to.searchParams.delete("max_age");
    to.searchParams.set("prompt", "none");
    assert.match((await ada.step(to.href)).location ?? "", /[?&]code=/);
    assert.ok(provider.asked.some((line) => line === "POST /token"));
  });

  test("somebody else inherits nothing from the session that ended here, not even the place", async (t) => {
    const { site } = await startPair(t, { idle: "2s" });
    const ada = new Person("ada");
    const first = seen(await ada.walk(`${site.url}/`)).headers["x-nightlatch-session"];
    await site.recorded(first, "session_ended");
    await ada.step(`${site.url}/orders`);
    const bob = new Person("bob");
    for (const [name, value] of ada.jar(site.url)) bob.jar(site.url).set(name, value);
    const page = await bob.walk(`${site.url}/_nightlatch/login?provider=firm&return_to=/orders`);
    assert.equal(page.url, `${site.url}/`);
    const { headers } = seen(page);
    assert.equal(headers["x-nightlatch-subject"], "bob");
    assert.equal((await site.record(headers["x-nightlatch-session"]))[0].continues ?? null, null);
  });

  test("a provider that vouches for an old authentication is asked once more, and then nobody is signed in", async (t) => {
    const { site, provider } = await startPair(t);
    provider.ageBy(3600);
    const ada = new Person("ada");
    const page = await ada.walk(`${site.url}/orders`);
    assert.match(page.text, /403 sign-in-stale/);
    assert.equal(ada.asked.filter((prompt) => prompt === "login").length, 2);
    assert.equal(ada.jar(site.url).get(COOKIE), undefined);
  });

  test("an older authentication is taken only as far as the firm says", async (t) => {
    const { site } = await startPair(t, { lines: 'provider_session_max_age = "5m"' });
    const ada = new Person("ada");
    await ada.walk(`${site.url}/`);
    ada.jar(site.url).clear();
    ada.took();
    assert.equal((await ada.walk(`${site.url}/orders`)).url, `${site.url}/orders`);
    assert.deepEqual(ada.took(), [], "silent, as the configuration allows");
  });

  test("while the provider is down nobody can sign in, and whoever is signed in works on", async (t) => {
    const { site, provider } = await startPair(t);
    const ada = new Person("ada");
    await ada.walk(`${site.url}/`);
    const cookies = [...ada.jar(site.url)];
    provider.stop();
    const signedIn = await ask(`${site.url}/orders`, { headers: { Cookie: cookies.map((pair) => pair.join("=")).join("; ") } });
    assert.equal(signedIn.status, 200);
    const { site: fresh, provider: gone } = await startPair(t);
    gone.stop();
    const page = await new Person("bob").walk(`${fresh.url}/orders`);
    assert.match(page.text, /503 provider-unreachable/);
    assert.match(page.text, /href="\/_nightlatch\/login\?return_to=\/orders"/);
  });

  test("in Chromium: signed in, idle end, told why, asked again by the provider, and back", async (t) => {
    const { site } = await startPair(t, { idle: "4s" });
    const browser = await startChromium(t);
    const context = await browser.newContext();
    later(t, () => context.close());
    const page = await context.newPage();
    const signIn = async () => {
      await page.locator("input[name=login]").fill("ada");
      await page.locator("input[name=password]").fill("x");
      await page.locator("button[type=submit]").click();
      await page.locator("button[type=submit], pre").first().waitFor();
      if (await page.locator("input[name=prompt][value=consent]").count()) await page.locator("button[type=submit]").click();
      await page.waitForURL(`${site.url}/**`);
    };
    await page.goto(`${site.url}/orders?id=7`);
    await signIn();
    assert.equal(page.url(), `${site.url}/orders?id=7`);
    const session = seen({ text: await page.content() }).headers["x-nightlatch-session"];
    const cookie = (await context.cookies(site.url)).find(({ name }) => name === COOKIE);
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite, cookie?.expires], [true, "Lax", -1]);
    await site.recorded(session, "session_ended");
    await page.goto(`${site.url}/orders?id=8`);
    assert.equal(await page.locator("h1").textContent(), "You are signed out.");
    await page.getByRole("link", { name: "Sign in again" }).click();
    await page.locator("input[name=login]").waitFor();
    assert.equal(new URL(page.url()).hostname, "localhost", "the provider asks again");
    await signIn();
    await eventually("back at the page", () => page.url() === `${site.url}/orders?id=8`);
  });
});
