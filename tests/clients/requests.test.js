// @ts-check
// Every request of the corpus through the gateway to four servers that read HTTP each in its own way, and to a socket that keeps
// every byte. What the gateway takes for one request is one request to all of them; what it refuses reaches none.
//
// Each row is sent together with a second request, the marker, in one write. Whoever takes another number of bytes for the row than
// the gateway did answers the marker wrongly, or sees more requests than were answered. A second marker follows on a
// connection of its own, and finds whatever was left lying in a connection that is used again.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { bytes, corpus } from "./support/corpus.js";
import { shared } from "./support/later.js";
import { startSite } from "./support/site.js";
import { eventually, sleep } from "./support/wait.js";
import { exchange } from "./support/wire.js";
import { startUpstreams } from "./upstreams/index.js";

/** What the gateway adds to every request; `forwarding.rs` has it to the letter. */
const OURS = /^(host|via|x-forwarded-(for|host|proto)|x-nightlatch-(subject|provider|session|groups)): /;
const VERDICT = /^(?:(nothing)|(\d+)( when begun)?|forwarded (.+?))(?:, (stays|closes))?$/;
const ROWS = corpus("requests");

/** @param {import("./support/corpus.js").Row} row */
function verdict(row) {
  const match = VERDICT.exec(row.verdict);
  assert.ok(match, `a verdict that is none: ${row.verdict}`);
  const [, nothing, status, begun, request, ends] = match;
  /** @type {string | undefined} */
  const forwarded = request && bytes(request, {}).toString("latin1");
  return { status: nothing ?? (status ? Number(status) : undefined), begun: Boolean(begun), forwarded, ends };
}

describe("requests", { concurrency: 5 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startUpstreams>>} */
  let upstreams;
  /** @type {Awaited<ReturnType<typeof startSite>>} */
  let site;
  /** @type {Record<string, string>} */
  let names;
  before(async () => {
    upstreams = await startUpstreams(file);
    const apps = Object.values(upstreams).map(({ name, url }) => ({ name, host: name, upstream: url, app: "upgrades = []" }));
    site = await startSite(file, { upstream: apps[0].upstream, apps, idle: "300s", absolute: "600s", form: false });
    const [one, two] = [await site.start({ subject: "ada" }), await site.start({ subject: "ada" })];
    names = {
      AUTH: `Authorization: Bearer ${one.token}`,
      OTHER: two.token,
      FIELD: "X-Field: 1\\r\\n",
      KILOBYTE: "x".repeat(1024),
    };
  });

  for (const name of /** @type {const} */ (["nginx", "apache", "node", "python", "wire"])) {
    test(`${ROWS.length} rows to ${name}`, { timeout: 120_000 }, async () => {
      const upstream = upstreams[name];
      const filled = { ...names, HOST: `Host: ${name}`, NAME: name };
      const wrong = [];
      let marker = 0;
      for (const row of ROWS) {
        try {
          await walk(row, () => `/marker/${(marker += 1)}`, upstream, filled);
        } catch (error) {
          wrong.push(`${row.name}: ${/** @type {Error} */ (error).message}`);
        }
      }
      assert.equal(wrong.length, 0, `${wrong.length} rows went wrong:\n${wrong.join("\n")}`);
    });
  }

  /**
   * @param {import("./support/corpus.js").Row} row
   * @param {() => string} nextMarker
   * @param {import("./upstreams/index.js").Upstream} upstream
   * @param {Record<string, string>} filled
   */
  async function walk(row, nextMarker, upstream, filled) {
    const { status, begun, forwarded, ends } = verdict(row);
    const [first, second] = [nextMarker(), nextMarker()];
    const ask = (/** @type {string} */ path) => bytes(`GET ${path} HTTP/1.1\\r\\n$HOST\\r\\n$AUTH\\r\\n\\r\\n`, filled);
    const before = (await upstream.seen()).length;

    const sent = Buffer.concat([bytes(row.text, filled), ask(first)]);
    const head = /^HEAD /.test(row.text) ? "HEAD" : "GET";
    const { answers, rest } = await exchange(site.url, sent, { methods: [head, "GET"] });
    const alone = await exchange(site.url, ask(second), { methods: ["GET"] });

    const [answer, marked] = answers;
    assert.equal(rest, "", "bytes that belong to no answer");
    // A server that does not wait for a body may have answered before it went bad.
    if (status !== undefined && !(begun && answer?.status === 200)) assert.equal(answer?.status ?? "nothing", status);
    if (forwarded) assert.notEqual(answer?.status, 502, `an answer by the server: ${answer?.body}`);
    if (ends) assert.equal(marked ? "stays" : "closes", ends);
    const own = (/** @type {string} */ path) => new RegExp(`GET ${path}$`, "m");
    if (marked) assert.match(marked.body, own(first), "the marker got an answer that is not its own");
    assert.match(alone.answers[0]?.body ?? "", own(second), "the second marker got an answer that is not its own");

    const expected = [...(marked ? [`GET ${first}`] : []), `GET ${second}`];
    if (forwarded) expected.push(forwarded);
    const seen = async () => (await upstream.seen()).slice(before);
    await eventually("the requests in the server's own log", async () => (await seen()).length >= expected.length, 5000);
    // A server that refuses what it was sent has seen one request too. One whose body went bad is given up, and counts as none.
    const saw = (await seen()).map(({ method, target }) => (method ? `${method} ${target}` : (forwarded ?? "refused")));
    const counted = begun ? saw.filter((request) => request.startsWith("GET /marker/")) : saw;
    assert.deepEqual(counted.sort(), expected.sort(), "the requests that the server saw");
    if (forwarded && "requests" in upstream) judgeBytes(row, upstream.requests().slice(before)[0], filled);
  }

  /**
   * The canonical form, byte for byte.
   * @param {import("./support/corpus.js").Row} row
   * @param {{fields: string[], body: string}} request
   * @param {Record<string, string>} filled
   */
  function judgeBytes(row, request, filled) {
    const expected = row.more.map((line) => bytes(line, filled).toString("latin1").trim());
    const fields = request.fields.filter((field) => !OURS.test(field)).map((field) => field.trim());
    const body = request.body ? [`| ${request.body}`] : [];
    assert.deepEqual([...fields, ...body.map((line) => line.trim())].sort(), expected.sort());
    assert.ok(!request.fields.some((field) => field.includes("nlt_")), "a credential went on");
  }
});
