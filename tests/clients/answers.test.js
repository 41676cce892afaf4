// @ts-check
// Every answer of the corpus through the gateway: what a client may believe passes in one form, what can be read in two ways is a
// 502, and nothing of it is ever the answer to somebody else's request. Two markers follow each row, one on the client's connection
// and one on another; both use connections to the application that are kept.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bytes, corpus } from "./support/corpus.js";
import { shared } from "./support/later.js";
import { startSite } from "./support/site.js";
import { exchange } from "./support/wire.js";
import { startScript } from "./upstreams/script.js";

const ROWS = corpus("answers");
const VERDICT = /^(?:(broken)|(\d\d\d))(?:, (stays|closes))?$/;

const file = shared(after);
/** @type {Awaited<ReturnType<typeof startScript>>} */
let application;
/** @type {Awaited<ReturnType<typeof startSite>>} */
let site;
let auth = "";
before(async () => {
  application = await startScript(file);
  site = await startSite(file, { upstream: application.url, idle: "300s", absolute: "600s", form: false });
  auth = `Authorization: Bearer ${(await site.start({ subject: "ada" })).token}`;
});

test(`${ROWS.length} answers`, async () => {
  const wrong = [];
  for (const [n, row] of ROWS.entries()) {
    try {
      await walk(row, n);
    } catch (error) {
      wrong.push(`${row.name}: ${/** @type {Error} */ (error).message}`);
    }
  }
  assert.equal(wrong.length, 0, `${wrong.length} rows went wrong:\n${wrong.join("\n")}`);
});

/**
 * @param {import("./support/corpus.js").Row} row
 * @param {number} n
 */
async function walk(row, n) {
  const [, asked = "GET /c\\r\\n", answer] = /^(?:> (.*?\\r\\n))?(.*)$/s.exec(row.text) ?? [];
  const [line] = asked.split("\\r\\n");
  const names = { CONTINUE: "HTTP/1.1 100 Continue\\r\\n\\r\\n", KILOBYTE: "x".repeat(1024), CLOSE: "" };
  application.script.answer = bytes(answer, names);
  application.script.closes = answer.includes("$CLOSE");
  const request = (/** @type {string} */ line) => Buffer.from(`${line} HTTP/1.1\r\nHost: app\r\n${auth}\r\n\r\n`);
  const [first, second] = [`GET /marker/${n}/1`, `GET /marker/${n}/2`];

  const sent = Buffer.concat([request(line), request(first)]);
  const { answers, rest } = await exchange(site.url, sent, { methods: [line.split(" ")[0], "GET"] });
  const alone = await exchange(site.url, request(second), { methods: ["GET"] });

  const [, broken, status, ends] = VERDICT.exec(row.verdict) ?? [];
  assert.ok(broken || status, `a verdict that is none: ${row.verdict}`);
  const [got, marked] = answers;
  assert.equal(rest, "", "bytes that belong to no answer");
  // What breaks at its beginning may not even have a head.
  assert.equal(got?.whole ?? false, !broken, `whole: ${JSON.stringify(got)}`);
  if (status) assert.equal(got.status, Number(status));
  if (ends) assert.equal(marked ? "stays" : "closes", ends);
  if (marked) assert.equal(marked.body, `${first}\n`, "the marker got an answer that is not its own");
  assert.equal(alone.answers[0]?.body, `${second}\n`, "the second marker got an answer that is not its own");
  if (row.more.length > 0) {
    const seen = got.fields.filter(([name]) => name !== "date").map(([name, value]) => `${name}: ${value}`);
    const expected = row.more.map((line) => bytes(line, {}).toString("latin1"));
    assert.deepEqual([...seen, ...(got.body ? [`| ${got.body}`] : [])].sort(), expected.sort());
  }
}
