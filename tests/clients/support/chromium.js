// @ts-check
// Headless Chromium, and what a person does with the demo in it.
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { chromium } from "playwright-core";
import { later } from "./later.js";
import { ROOT } from "./program.js";
import { eventually } from "./wait.js";

const RESULTS = path.join(ROOT, "test-results");
const ARGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/** @param {import("./later.js").Owner} owner */
export async function startChromium(owner) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ARGS });
  later(owner, () => browser.close());
  return browser;
}

/**
 * A person with a browser of their own, who looks at the demo at this address.
 * @param {import("./later.js").Owner} owner
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function person(owner, browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, locale: "en-GB", ...options });
  later(owner, () => context.close());
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  /** @type {string[]} */
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  const live = () => page.locator("#quotes-state[data-state=live], #users-state[data-state=live]").first();
  const state = (/** @type {string} */ panel) => page.locator(`#${panel}-state`);

  return {
    context,
    page,
    errors,
    state,
    go: (where = "/") => page.goto(url + where),
    /** @param {string} user as it stands in the form */
    async signIn(user) {
      await page.locator(`button[name=user][value=${user}]`).click();
      await live().waitFor();
    },
    /**
     * Signs in on a page that is not sure to lead back, and goes to the desk.
     * @param {string} user
     */
    async signInAnew(user) {
      await page.locator(`button[name=user][value=${user}]`).click();
      await page.waitForURL((where) => !where.pathname.startsWith("/_nightlatch/"));
      await page.goto(url);
      await live().waitFor();
    },
    async openReport() {
      await page.locator("#report-show").click();
      await page.locator("#report-state", { hasText: "rows" }).waitFor();
    },
    async placeOrder(quantity = "25") {
      await page.locator("#ticket-quantity").fill(quantity);
      await page.locator("#ticket-place").click();
      await page.locator("#ticket-result[data-result=done]").waitFor();
    },
    /** Touches nothing until it is over. */
    async leaveIt(patienceMs = 30_000) {
      await page.locator("#sign-in-again").waitFor({ timeout: patienceMs });
      await eventually("nothing being live", async () => {
        const live = await page.locator("#quotes-state, #news-state, #report-state").evaluateAll((states) =>
          states.filter((state) => state instanceof HTMLElement && state.dataset.state === "live").length,
        );
        return live === 0;
      });
    },
    /**
     * A picture for whoever wants to see what it looked like.
     * @param {string} name
     */
    async picture(name, fullPage = false) {
      await mkdir(RESULTS, { recursive: true });
      await page.screenshot({ path: path.join(RESULTS, `${name}.png`), fullPage });
    },
  };
}
