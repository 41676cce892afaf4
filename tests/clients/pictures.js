#!/usr/bin/env node
// @ts-check
// Makes `docs/images/demo-end.png` and `docs/images/demo-terminal.txt`: the demo as it comes, signed in to, worked in, left, and ended.
// Takes the minute that the demo's idle limit is.
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { person, startChromium } from "./support/chromium.js";
import { later } from "./support/later.js";
import { ROOT, startProgram } from "./support/program.js";
import { eventually, sleep } from "./support/wait.js";

const IMAGES = path.join(ROOT, "docs/images");

/** @type {(() => Promise<void>)[]} */
const undos = [];
/** @type {import("./support/later.js").Owner} */
const owner = { after: (undo) => void undos.push(undo) };

try {
  await mkdir(IMAGES, { recursive: true });
  const server = startProgram(["demo"], { cwd: ROOT, env: { NIGHTLATCH_LOG: "warn" } });
  later(owner, () => server.stop());
  const url = await server.ready(() => server.stdout.includes("Ctrl-C") && /http:\/\/[\d.:]+/.exec(server.stdout)?.[0]);
  const browser = await startChromium(owner);
  // A window of 1440 by 960, shown at 1200 by 800: the news and the quotes are in it too.
  const they = await person(owner, browser, url, {
    viewport: { width: 1440, height: 960 },
    deviceScaleFactor: 1200 / 1440,
    colorScheme: "light",
  });
  await they.go();
  await they.signIn("trader");
  await they.placeOrder();
  await they.openReport();
  await they.leaveIt(90_000);
  await eventually("the news giving up", async () => !/again/.test((await they.state("news").textContent()) ?? ""));
  await eventually("the end being told", () => server.stdout.includes("On the record"));
  await sleep(500);
  await they.page.screenshot({ path: path.join(IMAGES, "demo-end.png") });
  const text = server.stdout.trim().split("\n").map((line) => line.trimEnd()).join("\n");
  await writeFile(path.join(IMAGES, "demo-terminal.txt"), `$ nightlatch demo\n\n  ${text}\n`);
} finally {
  for (const undo of undos) await undo();
}
