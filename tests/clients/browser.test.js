// @ts-check
// Chromium: a person walks the demo, leaves it, and comes back. Pictures of each step are put into `test-results/`.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { person, startChromium } from "./support/chromium.js";
import { startDemo } from "./support/demo.js";
import { shared } from "./support/later.js";
import { eventually, sleep } from "./support/wait.js";
import { ask } from "./support/http.js";

const IDLE_MS = 6000;

describe("browser", { concurrency: 2 }, () => {
  const file = shared(after);
  /** @type {import("playwright-core").Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof startDemo>>} */
  let demo;
  before(async () => {
    demo = await startDemo(file, { idle: `${IDLE_MS}ms`, absolute: "90s" });
    browser = await startChromium(file);
  });

  /** @param {import("node:test").TestContext} t */
  const somebody = (t, options = {}) => person(t, browser, demo.url, options);

  /** @param {import("playwright-core").BrowserContext} context */
  const cookies = async (context) =>
    Object.fromEntries((await context.cookies()).map((cookie) => [cookie.name, cookie]));

  /** Every session there was, as the operator sees it. @returns {Promise<Record<string, any>[]>} */
  async function sessions() {
    const headers = { Authorization: `Bearer ${demo.operatorKey}` };
    return (await ask(`${demo.admin}/v1/sessions?limit=100`, { headers })).json().sessions;
  }

  test("somebody signs in, works, leaves, and finds everything ended together and says why", async (t) => {
    const { page, context, errors, state, ...they } = await somebody(t);
    const arrived = await they.go("/?from=mail");
    assert.equal(arrived?.status(), 200);
    assert.equal(new URL(page.url()).pathname, "/_nightlatch/login");
    assert.equal(await page.locator("h1").textContent(), "Sign in");
    await they.picture("1-sign-in");

    await they.signIn("trader");
    assert.equal(page.url(), `${demo.url}/?from=mail`, "back to the page that was asked for");
    await page.locator("#news-list li").first().waitFor();
    await page.locator("#positions-table tbody tr").first().waitFor();
    await they.openReport();
    await they.placeOrder();
    assert.match((await page.locator("#ticket-result").textContent()) ?? "", /HS-\d+/);
    const left = Date.now();
    await they.picture("2-at-work");
    const cookie = (await cookies(context))["nightlatch-loopback"];
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.expires], [true, "Lax", -1]);
    assert.equal(await page.evaluate(() => document.cookie), "", "no script sees a cookie");

    /** @type {number[]} */
    const polls = [];
    page.on("response", (response) => {
      if (response.url().includes("/api/notifications")) polls.push(response.status());
    });
    await they.leaveIt();
    const took = Date.now() - left;
    assert.ok(polls.includes(200), "the page went on polling, and that did not keep it signed in");
    assert.ok(took > IDLE_MS - 2000, `not early: after ${took} ms`);

    assert.match((await state("quotes").textContent()) ?? "", /^Quotes stopped at [\d:]+\s*Code: 3008 idle_timeout$/);
    assert.match((await state("news").textContent()) ?? "", /^News stopped at [\d:]+/);
    assert.match((await state("report").textContent()) ?? "", /^Report stopped at [\d:]+ after \d+ rows; it is incomplete$/);
    assert.equal(await page.locator(".banner").count(), 1, "one banner");
    const banner = (await page.locator(".banner").innerText()).replaceAll("\n", " ");
    assert.match(banner, /^You are signed out\. Nothing happened for 6 seconds\. Sign in again to continue\./);
    assert.match(banner, /Code: idle_timeout/);
    assert.match(await page.title(), /^Signed out/);
    await they.picture("3-ended");
    await they.picture("3-ended-whole-page", true);
    const jar = await cookies(context);
    // What a script is answered leaves the cookies alone: it could arrive after a new sign-in. They go with the next navigation.
    assert.ok(jar["nightlatch-loopback"]);
    assert.equal(jar["nightlatch-loopback-ended"], undefined);
    // The news are asked for once more, since the page's EventSource does not know why they stopped; the 401 tells it.
    await eventually("the news giving up", async () => /^News stopped at [\d:]+$/.test((await state("news").textContent()) ?? ""));
    /** @type {string[]} */
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await sleep(3500);
    assert.deepEqual(asked, []);

    await page.locator("#sign-in-again").click();
    await page.waitForURL("**/_nightlatch/login?**");
    assert.equal(await page.locator("h1").textContent(), "You are signed out.");
    assert.match(await page.locator("main").innerText(), /Nothing happened for 6 seconds\. Sign in again to continue\./);
    assert.match(await page.locator("main").innerText(), /Code: idle_timeout/);
    await they.picture("4-sign-in-again");
    await they.signInAnew("trader");
    assert.equal(await page.locator(".banner").count(), 0);
    assert.equal(await page.locator("#who-name").textContent(), "Tess Marlow");
    await page.locator("#orders-table", { hasText: "HS-" }).waitFor();
    assert.equal((await cookies(context))["nightlatch-loopback-ended"], undefined);
    assert.deepEqual(errors, []);
  });

  test("signing in again from the banner leads back to the page", async (t) => {
    const { page, ...they } = await somebody(t);
    await they.go("/?from=mail");
    await they.signIn("trader");
    await they.leaveIt();
    await page.locator("#sign-in-again").click();
    await page.locator("button[name=user][value=trader]").click();
    await page.waitForURL((url) => !url.pathname.startsWith("/_nightlatch/"));
    assert.equal(page.url(), `${demo.url}/?from=mail`);
  });

  test("typing without any request does not keep the session: there is no guard in the page yet", async (t) => {
    const { page, ...they } = await somebody(t);
    await they.go();
    await they.signIn("trader");
    const started = Date.now();
    await page.locator("#ticket-note").click();
    while (!(await page.locator("#sign-in-again").isVisible())) {
      await page.keyboard.type("still here ");
      assert.ok(Date.now() - started < 30_000, "ended although somebody types");
      await sleep(100);
    }
    assert.match(await page.locator("#ticket-note").inputValue(), /^still here still here/, "what was typed still stands there");
    await they.picture("5-typed");
  });

  test("going back after the end shows nothing of the desk", async (t) => {
    const { page, ...they } = await somebody(t);
    await they.go();
    await they.signIn("trader");
    await page.locator("#positions-table tbody tr").first().waitFor();
    const holds = (await page.locator("#positions-table tbody tr").first().innerText()).split(/\s/)[0];
    await they.leaveIt();
    await page.locator("#sign-in-again").click();
    await page.waitForURL("**/_nightlatch/login?**");
    await page.goBack();
    await page.waitForLoadState();
    assert.equal(new URL(page.url()).pathname, "/_nightlatch/login", "asked anew, and sent here");
    assert.ok(!(await page.locator("body").innerText()).includes(holds));
    await they.picture("6-back");
  });

  test("going back after signing out by the button shows nothing of the desk", async (t) => {
    const { page, context, ...they } = await somebody(t);
    await they.go();
    await they.signIn("supervisor");
    await page.locator("#positions-table tbody tr").first().waitFor();
    await page.locator("#sign-out button").click();
    await page.waitForURL("**/_nightlatch/login");
    const jar = await cookies(context);
    assert.deepEqual(Object.keys(jar), [], "no cookie is left");
    await they.picture("7-signed-out");
    await page.goBack();
    await page.waitForLoadState();
    assert.equal(new URL(page.url()).pathname, "/_nightlatch/login");
    assert.equal(await page.locator("#positions-table").count(), 0);
    const mine = (await sessions()).find(({ subject }) => subject === "supervisor");
    assert.equal(mine?.end.reason, "logout");
  });

  test("somebody else in the same browser gets their own page and not the former one's cookie", async (t) => {
    const { page, context, ...they } = await somebody(t);
    await they.go();
    await they.signIn("trader");
    const first = (await cookies(context)).desk_session.value;
    await they.leaveIt();
    // The former one's cookie is put back, as a browser does that restores a profile.
    await context.addCookies([{ name: "desk_session", value: first, url: demo.url, httpOnly: true, sameSite: "Lax" }]);
    await page.locator("#sign-in-again").click();
    await page.waitForURL("**/_nightlatch/login?**");
    await they.signInAnew("administrator");
    const who = await page.evaluate(async () => (await fetch("/api/whoami")).json());
    assert.equal(who.user, "administrator");
    assert.notEqual(who.desk_session_user, "trader", "the former one's session of the desk does not come through");
    const second = (await cookies(context)).desk_session.value;
    assert.notEqual(second, first);
    assert.equal(who.desk_session_user, "administrator");
    await they.picture("8-somebody-else");
  });

  test("two tabs of one person end together; signing in again in one of them is enough for the other", async (t) => {
    const { page, context, ...they } = await somebody(t);
    await they.go();
    await they.signIn("trader");
    const second = await context.newPage();
    await second.goto(demo.url);
    await second.locator("#quotes-state[data-state=live]").waitFor();
    await Promise.all([page, second].map((tab) => tab.locator("#sign-in-again").waitFor({ timeout: 30_000 })));
    const [one, two] = await Promise.all([page, second].map((tab) => tab.locator("#quotes-state").innerText()));
    const at = (/** @type {string} */ text) => Date.parse(`2026-01-01T${/\d\d:\d\d:\d\d/.exec(text)?.[0]}Z`);
    assert.ok(Math.abs(at(one) - at(two)) <= 1000, `${one} and ${two}`);
    await page.locator("#sign-in-again").click();
    await they.signInAnew("trader");
    await second.reload();
    await second.locator("#quotes-state[data-state=live]").waitFor();
  });

  for (const [name, options] of /** @type {const} */ ([
    ["dark", { colorScheme: "dark" }],
    ["narrow", { viewport: { width: 320, height: 640 } }],
  ])) {
    test(`${name}: nothing is wider than the window`, async (t) => {
      const { page, ...they } = await somebody(t, options);
      const tooWide = () =>
        page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      await they.go();
      await they.picture(`9-${name}-sign-in`);
      assert.equal(await tooWide(), 0);
      await they.signIn("trader");
      await page.locator("#sign-in-again").waitFor({ timeout: 30_000 });
      await they.picture(`9-${name}-ended`);
      assert.equal(await tooWide(), 0);
      await page.locator("#sign-in-again").click();
      await page.waitForURL("**/_nightlatch/login?**");
      await they.picture(`9-${name}-sign-in-again`);
      assert.equal(await tooWide(), 0);
    });
  }
});
