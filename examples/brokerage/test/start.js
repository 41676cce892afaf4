// @ts-check
// A desk for a test: in this process, on any free port, with its log kept.
import { createDesk } from "../desk.js";

export const HEADER = "X-Remote-User";

/**
 * @param {import("node:test").TestContext} t
 * @param {Partial<import("../desk.js").Settings>} [settings]
 */
export async function startDesk(t, settings = {}) {
  /** @type {Record<string, any>[]} */
  const entries = [];
  const desk = createDesk({ userHeader: HEADER, log: (entry) => void entries.push(entry), ...settings });
  const url = await desk.listen(0);
  t.after(() => desk.close());

  /** @param {string} user */
  const as = (user) => {
    /**
     * @param {string} path
     * @param {RequestInit} [options]
     */
    return (path, options = {}) =>
      fetch(url + path, {
        redirect: "manual",
        ...options,
        headers: { [HEADER]: user, ...options.headers },
      });
  };

  return {
    url,
    entries,
    as,
    /**
     * @param {string} user
     * @param {unknown} fields
     * @param {string} [query]
     */
    order: (user, fields, query = "") =>
      as(user)(`/api/orders${query}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(fields),
      }),
    /** @param {string} event */
    logged: (event) => eventually(() => entries.find((entry) => entry.event === event), `log entry ${event}`),
  };
}

/**
 * Waits until something is there, for three seconds at most.
 * @template T
 * @param {() => T | undefined | false} look
 * @param {string} what
 * @returns {Promise<T>}
 */
export async function eventually(look, what) {
  const until = Date.now() + 3000;
  for (;;) {
    const found = look();
    if (found) return found;
    if (Date.now() > until) throw new Error(`never seen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
