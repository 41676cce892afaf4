// @ts-check
// Python's `websockets`, and a client by hand that does not read.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { inUse, signIn } from "./support/http.js";
import { shared } from "./support/later.js";
import { ROOT, run } from "./support/program.js";
import { startDeskSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

const PYTHON = path.join(ROOT, ".venv/bin/python");
const IDLE_MS = 3000;

describe("python websockets", { concurrency: 3 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startDeskSite>>} */
  let site;
  before(async () => {
    assert.ok(existsSync(PYTHON), "run `cargo xtask test` once: it makes .venv with the package `websockets` in it");
    site = await startDeskSite(file, { idle: `${IDLE_MS}ms` });
  });

  async function signedIn() {
    const { cookie, token } = await signIn(site.url, "trader");
    return { cookie, session: await site.sessionOf(token) };
  }

  /**
   * @param {string} script
   * @param {...string} args
   */
  async function python(script, ...args) {
    const { code, stdout, stderr } = await run(PYTHON, [fileURLToPath(new URL(`python/${script}.py`, import.meta.url)), ...args]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  /**
   * An interpreter may take seconds to start on a busy machine: until its socket is open, the session is used.
   * @param {string} cookie
   * @param {string} session
   */
  const useUntilOpen = (cookie, session) =>
    inUse(`${site.url}/api/positions`, cookie, () =>
      eventually("the socket being open", async () => {
        const { open, state } = (await site.api("operator", `GET /v1/sessions/${session}`)).json();
        return open > 0 || state === "ended";
      }),
    );

  const quotes = () => `${site.url.replace("http:", "ws:")}/ws/quotes`;

  for (const compression of ["deflate", "none"]) {
    test(`compression ${compression}: ConnectionClosed with 3008 and the reason`, async () => {
      const { cookie, session } = await signedIn();
      const client = python("websocket_client", quotes(), cookie, compression);
      await useUntilOpen(cookie, session);
      const closed = await client;
      assert.equal(closed.exception, "ConnectionClosedError", JSON.stringify(closed));
      assert.deepEqual([closed.code, closed.reason], [3008, "idle_timeout"]);
      assert.equal(closed.received_first, true, "the gateway closed, and the client answered");
      assert.equal(closed.binary, 1024 * 1024, "the echo came back byte for byte");
      assert.ok(closed.quotes > 3);
      assert.equal((await site.recorded(session, "cut")).how, "close 3008");
    });
  }

  test("after the end it gets a 401 that says why", async () => {
    const { cookie, session } = await signedIn();
    await site.api("operator", `DELETE /v1/sessions/${session}?cause=test`);
    const refused = await python("websocket_client", quotes(), cookie, "none");
    assert.equal(refused.status, 401);
    assert.equal(refused.body.reason, "revoked");
  });

  test("a client that does not read is cut as well; what it finds afterwards is whole, or ends with a reset", async () => {
    const { cookie, session } = await signedIn();
    const { hostname, port } = new URL(site.url);
    const reader = python("stalled_reader", hostname, port, cookie, "5.5");
    await useUntilOpen(cookie, session);
    const found = await reader;
    const cut = await site.recorded(session, "cut");
    assert.equal(cut.reason, "idle_timeout");
    assert.equal(found.wrong, null);
    assert.equal(found.close_is_last, true);
    if (found.end === "reset") {
      assert.equal(cut.how, "reset");
    } else {
      assert.equal(cut.how, "close 3008");
      assert.equal(found.close_code, 3008);
      assert.equal(found.rest, 0);
    }
  });
});
