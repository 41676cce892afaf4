// @ts-check
// Chromium: one person in two browsers sees where they are signed in, and ends it there from here. Pictures are put into `test-results/`.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { person, startChromium } from "./support/chromium.js";
import { shared } from "./support/later.js";
import { startDeskSite } from "./support/site.js";

const PHONE = {
  viewport: { width: 390, height: 844 },
  userAgent:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
};
const HERE = "/_nightlatch/sessions";

describe("my sessions", { concurrency: 1 }, () => {
  const file = shared(after);
  /** @type {import("playwright-core").Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof startDeskSite>>} */
  let site;
  before(async () => {
    site = await startDeskSite(file, { idle: "10m", absolute: "1h" });
    browser = await startChromium(file);
  });

  /**
   * Somebody who is signed in. The tests that count have a user of their own, since they see what else that one is signed in with.
   * @param {import("node:test").TestContext} t
   * @param {string} user
   */
  async function signedIn(t, user, options = {}) {
    const somebody = await person(t, browser, site.url, options);
    await somebody.go();
    await somebody.signIn(user);
    return somebody;
  }

  test("one browser ends the other: its sockets are cut, its page says why, and the record says from where", async (t) => {
    const here = await signedIn(t, "trader");
    const there = await signedIn(t, "trader", PHONE);
    await here.go(HERE);
    const sessions = here.page.locator(".sessions > li");
    assert.equal(await sessions.count(), 2);
    assert.match(await sessions.nth(0).innerText(), /^Chrome on Linux This session\s+Address\s+127\.0\.0\.1\s+Signed in\s+/);
    assert.match(await sessions.nth(1).innerText(), /^Safari on iPhone\s+Address\s+127\.0\.0\.1\s+/);
    assert.match(await sessions.nth(1).innerText(), /Ends\s+in (9|10) minutes, unless something happens there/);
    const exact = await sessions.nth(1).locator("time").first().getAttribute("title");
    assert.match(exact ?? "", /^\d+ \w+ 20\d\d, \d\d:\d\d:\d\d UTC$/);
    assert.equal(await here.page.content().then((html) => html.includes("nlt_")), false);
    await here.picture("m1-my-sessions", true);

    const ended = await sessions.nth(1).getByRole("button").getAttribute("value");
    await sessions.nth(1).getByRole("button", { name: /^Sign out there: Safari on iPhone, reference [0-9A-Z]{4}$/ }).click();
    await here.page.getByRole("status").waitFor();
    assert.equal(await here.page.getByRole("status").innerText(), "Signed out there: Safari on iPhone.");
    assert.match(await here.page.title(), /^Signed out there\./, "what was done is the first thing that is read out");
    assert.equal(await sessions.count(), 1);
    await here.picture("m2-signed-out-there", true);

    await there.page.locator("#sign-in-again").waitFor();
    assert.match((await there.state("quotes").textContent()) ?? "", /Code: 3008 logout$/);
    const banner = (await there.page.locator(".banner").innerText()).replaceAll("\n", " ");
    assert.match(banner, /^You are signed out\. This session was signed out, here or from another of your sessions\./);
    await there.picture("m3-ended-there");
    const entry = await site.recorded(ended ?? "", "session_ended");
    assert.deepEqual([entry.reason, entry.by], ["logout", "user"]);
    assert.match(entry.cause, /^by the user from session ses_[0-9a-f]{32}$/);
    assert.notEqual(entry.cause.slice(-36), ended);
    await here.go();
    await here.page.locator("#quotes-state[data-state=live]").waitFor();
  });

  test("with the keyboard alone, everywhere else", async (t) => {
    const others = await Promise.all([signedIn(t, "supervisor", PHONE), signedIn(t, "supervisor")]);
    const { page, ...they } = await signedIn(t, "supervisor");
    await they.go(HERE);
    /** @type {string[]} */
    const reached = [];
    for (;;) {
      await page.keyboard.press("Tab");
      const focused = page.locator(":focus");
      if ((await focused.count()) === 0) break;
      const { outline, offset, height } = await focused.evaluate((element) => {
        const style = getComputedStyle(element);
        return { outline: `${style.outlineStyle} ${style.outlineWidth}`, offset: style.outlineOffset, height: element.getBoundingClientRect().height };
      });
      assert.deepEqual([outline, offset], ["solid 2px", "2px"], "focus is seen");
      const button = (await focused.evaluate((element) => element.tagName)) === "BUTTON";
      assert.ok(!button || height >= 44, `${height} px to hit`);
      reached.push((await focused.getAttribute("aria-label")) ?? (await focused.innerText()));
      if (reached.length > 20) break;
    }
    const [first, ...rest] = reached;
    assert.equal(first, "Sign out here");
    const [chrome, safari] = rest.slice(0, 2).sort();
    assert.match(chrome, /^Sign out there: Chrome on Linux, reference/);
    assert.match(safari, /^Sign out there: Safari on iPhone, reference/);
    assert.deepEqual(rest.slice(2), ["Sign out everywhere else", "Look again"]);
    await page.getByRole("button", { name: "Sign out everywhere else" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("status").waitFor();
    assert.equal(await page.getByRole("status").innerText(), "You are signed out everywhere else.");
    for (const other of others) await other.page.locator("#sign-in-again").waitFor();
  });

  test("read out: each session under a heading of its own, each button says what it ends", async (t) => {
    await signedIn(t, "administrator", PHONE);
    const { page, ...they } = await signedIn(t, "administrator");
    await they.go(HERE);
    const heard = (await page.locator("main").ariaSnapshot()).replace(/reference \w{4}/g, "reference");
    const outline = heard.split("\n").map((line) => line.trim().replace(/^- '(.*)': .*$/, "- $1")).filter((line) => /^- (heading|button|list|listitem|term|link)/.test(line));
    const session = (/** @type {string} */ heading, /** @type {string} */ button) => [
      "- listitem:",
      `- heading "${heading}" [level=2]`,
      ...["Address", "Signed in", "Last activity", "Ends"].map((term) => `- term: ${term}`),
      `- button "${button}"`,
    ];
    assert.deepEqual(outline, [
      '- heading "Where you are signed in" [level=1]',
      "- list:",
      ...session("Chrome on Linux This session", "Sign out here"),
      ...session("Safari on iPhone", "Sign out there: Safari on iPhone, reference"),
      '- heading "Everywhere else" [level=2]',
      '- button "Sign out everywhere else"',
      '- link "Look again":',
    ]);
  });

  for (const [name, options] of /** @type {const} */ ([
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["narrow", { viewport: { width: 320, height: 640 } }],
    ["zoomed", { viewport: { width: 640, height: 900 }, zoom: "32px" }],
    ["right-to-left", { dir: "rtl" }],
    ["forced-colours", { forcedColors: "active" }],
  ])) {
    test(`${name}: nothing is wider than the window`, async (t) => {
      const { zoom, dir, ...context } = /** @type {any} */ (options);
      const { page, ...they } = await signedIn(t, "trader2", context);
      await they.go(HERE);
      await page.evaluate(([size, dir]) => {
        // As a browser does with a larger text size, and a page in a language from the other side.
        if (size) document.documentElement.style.setProperty("font-size", size);
        if (dir) document.documentElement.dir = dir;
      }, [zoom, dir]);
      await they.picture(`m4-${name}`, true);
      const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(tooWide, 0);
    });
  }
});
