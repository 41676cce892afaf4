// @ts-check
// News, report and documents.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { test } from "node:test";
import { HEADER, eventually, startDesk } from "./start.js";

/**
 * Reads a stream until what has come satisfies the test, then leaves it.
 * @param {(path: string, options?: RequestInit) => Promise<Response>} get
 * @param {string} path
 * @param {(text: string) => boolean} enough
 * @param {Record<string, string>} [headers]
 */
async function readUntil(get, path, enough, headers = {}) {
  const stop = new AbortController();
  const response = await get(path, { headers, signal: stop.signal });
  assert.equal(response.status, 200);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of /** @type {any} */ (response.body)) {
    text += decoder.decode(chunk, { stream: true });
    if (enough(text)) break;
  }
  stop.abort();
  return { response, text };
}

const ids = (/** @type {string} */ text) => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));

test("news has ids, a name and several lines of data, and goes on", async (t) => {
  const { as, logged } = await startDesk(t, { newsEveryMs: 50 });
  const { response, text } = await readUntil(as("trader"), "/api/news", (so) => ids(so).length >= 8);
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.match(text, /^retry: 5000\n\nid: \d+\nevent: headline\ndata: [^\n]+\ndata: [^\n]+\ndata: \d{4}-[^\n]+Z\n\n/);
  const seen = ids(text);
  assert.deepEqual(seen, seen.map((_, i) => seen[0] + i));
  const closed = await logged("news_closed");
  assert.ok(closed.sent >= 8);
});

test("a reader who comes back gets exactly what was missed", async (t) => {
  const { as } = await startDesk(t, { newsEveryMs: 50 });
  const last = ids((await readUntil(as("trader"), "/api/news", (so) => ids(so).length >= 6)).text).at(-1) ?? 0;
  await new Promise((resolve) => setTimeout(resolve, 200));
  const again = await readUntil(as("trader"), "/api/news", (so) => ids(so).length >= 4, {
    "Last-Event-ID": String(last),
  });
  assert.equal(ids(again.text)[0], last + 1);
  for (const odd of ["999999999", "-1", "nonsense"]) {
    const { text } = await readUntil(as("trader"), "/api/news", (so) => ids(so).length >= 5, { "Last-Event-ID": odd });
    assert.equal(ids(text).length >= 5, true, odd);
  }
});

test("the report is whole, in chunks, for download", async (t) => {
  const { as, logged } = await startDesk(t);
  const response = await as("supervisor")("/reports/daily.csv?rows=20&every_ms=5");
  assert.equal(response.headers.get("content-disposition"), 'attachment; filename="daily.csv"');
  assert.equal(response.headers.get("transfer-encoding"), "chunked");
  assert.equal(response.headers.get("x-total-rows"), "20");
  const lines = (await response.text()).trimEnd().split("\r\n");
  assert.equal(lines[0], "row,time,symbol,side,quantity,price");
  assert.equal(lines.length, 21);
  assert.match(lines[20], /^20,\d{4}-[^,]+Z,[A-Z]{4},(buy|sell),\d+,\d+\.\d\d$/);
  const closed = await logged("report_closed");
  assert.equal(closed.rows, 20);
  assert.equal(closed.complete, true);
});

test("by default the report takes five minutes, and it stops when the reader leaves", async (t) => {
  const { as, logged } = await startDesk(t);
  const { response } = await readUntil(as("trader"), "/reports/daily.csv", (text) => text.includes("\r\n2,"));
  assert.equal(response.headers.get("x-total-rows"), "1500");
  const opened = await logged("report_opened");
  assert.equal(opened.rows * opened.every_ms, 300_000);
  const closed = await logged("report_closed");
  assert.equal(closed.complete, false);
  assert.ok(closed.rows >= 2 && closed.rows < 100);
});

test("a report with odd numbers is refused", async (t) => {
  const { as } = await startDesk(t);
  for (const query of ["rows=0", "rows=x", "every_ms=0", "every_ms=10001", "rows=100001"]) {
    const response = await as("trader")(`/reports/daily.csv?${query}`);
    assert.equal(response.status, 400, query);
    assert.equal((await response.json()).title, "Number out of bounds");
  }
});

test("a document is counted and hashed, and listed for who sent it", async (t) => {
  const { as, logged } = await startDesk(t);
  const body = randomBytes(3_000_000);
  const response = await as("trader")("/api/documents?name=deed.pdf", { method: "POST", body });
  assert.equal(response.status, 201);
  const document = await response.json();
  assert.equal(document.bytes, 3_000_000);
  assert.equal(document.sha256, createHash("sha256").update(body).digest("hex"));
  assert.deepEqual((await (await as("trader")("/api/documents")).json()).documents, [document]);
  assert.deepEqual((await (await as("trader2")("/api/documents")).json()).documents, []);
  assert.equal((await logged("upload_closed")).bytes, 3_000_000);

  const empty = await (await as("trader")("/api/documents", { method: "POST" })).json();
  assert.equal(empty.bytes, 0);
  assert.equal(empty.name, "untitled");
  assert.equal((await as("trader")(`/api/documents?name=${"n".repeat(201)}`, { method: "POST", body })).status, 400);
});

test("an upload that breaks off is told in the log and not kept", async (t) => {
  const { url, as, entries, logged } = await startDesk(t);
  const call = request(`${url}/api/documents?name=half.bin`, { method: "POST", headers: { [HEADER]: "trader" } });
  call.on("error", () => {});
  call.write(Buffer.alloc(50_000));
  await logged("upload_opened");
  await new Promise((resolve) => setTimeout(resolve, 100));
  call.destroy();
  const aborted = await logged("upload_aborted");
  assert.equal(aborted.bytes, 50_000);
  assert.equal(aborted.name, "half.bin");
  await eventually(() => entries.find((entry) => entry.event === "request" && entry.aborted), "aborted request");
  assert.deepEqual((await (await as("trader")("/api/documents")).json()).documents, []);
});

test("every request is told in the log, without its query", async (t) => {
  const { as, entries } = await startDesk(t);
  await (await as("trader")("/api/whoami?secret=1")).text();
  const entry = await eventually(() => entries.find((each) => each.event === "request"), "request");
  assert.equal(entry.method, "GET");
  assert.equal(entry.path, "/api/whoami");
  assert.equal(entry.status, 200);
  assert.equal(typeof entry.ms, "number");
});
