// @ts-check
// Waiting for something to become true, and not for a time to pass.
import { setTimeout as sleep } from "node:timers/promises";

export { sleep };

/**
 * What `look` gives once that is something, asked again and again. The patience is for a machine that is busy with
 * other things; nothing here measures how fast anything is.
 * @template T
 * @param {string} what
 * @param {() => T | undefined | null | false | Promise<T | undefined | null | false>} look
 * @param {number} [patienceMs]
 * @returns {Promise<T>}
 */
export async function eventually(what, look, patienceMs = 20_000) {
  const until = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > until) throw new Error(`never seen: ${what}`);
    await sleep(25);
  }
}
