// @ts-check
// A gRPC client and server that are not ours (npm `@grpc/grpc-js`), with the gateway between them.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { certificate } from "./support/certificate.js";
import { later, shared } from "./support/later.js";
import { startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

const PROTO = fileURLToPath(new URL("support/desk.proto", import.meta.url));
const { desk } = /** @type {any} */ (grpc.loadPackageDefinition(loader.loadSync(PROTO)));

describe("grpc", { concurrency: 4 }, () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startServer>>} */
  let server;
  /** @type {Awaited<ReturnType<typeof startSite>>} */
  let site;
  /** @type {any} */
  let client;
  before(async () => {
    const made = await certificate(file);
    assert.ok(made, "openssl is missing: gRPC goes over TLS here");
    server = await startServer(file);
    const app = 'protocol = "h2"\npassive = ["POST /desk.Orders/Quotes"]';
    site = await startSite(file, { upstream: server.url, app, idle: "3s", form: false, tls: made.tls });
    const credentials = grpc.credentials.createSsl(await readFile(made.cert));
    client = new desk.Orders(site.url.replace("https://", "").replace("127.0.0.1", "localhost"), credentials);
    later(file, () => client.close());
  });

  /** @param {string} [token] */
  function metadata(token) {
    const fields = new grpc.Metadata();
    if (token) fields.set("authorization", `Bearer ${token}`);
    return fields;
  }

  /** @param {any} fields @param {string} symbol @returns {Promise<{error?: any, text?: string, trailer?: unknown}>} */
  const place = (fields, symbol = "ACME") =>
    new Promise((resolve) => {
      let trailer;
      const call = client.Place({ symbol }, fields, (/** @type {any} */ error, /** @type {any} */ receipt) =>
        setImmediate(() => resolve({ error, text: receipt?.text, trailer })),
      );
      call.on("status", (/** @type {any} */ status) => (trailer = status.metadata.get("x-after")[0]));
    });

  /** What a stream brings until it ends, and how. @param {any} call */
  const drained = (call) =>
    new Promise((resolve) => {
      /** @type {string[]} */
      const texts = [];
      call.on("data", (/** @type {any} */ receipt) => texts.push(receipt.text));
      call.on("error", () => {});
      call.on("status", (/** @type {any} */ status) => resolve({ texts, status }));
    });

  test("a call, a stream and a conversation pass, with their trailers", async () => {
    const { id, token } = await site.start({ subject: "ada" });
    const placed = await place(metadata(token));
    assert.deepEqual([placed.error, placed.text, placed.trailer], [null, "ACME for ada", "yes"]);
    const stream = await drained(client.Quotes({ symbol: "3" }, metadata(token)));
    assert.deepEqual([stream.texts, stream.status.code], [["0", "1", "2"], grpc.status.OK]);
    const talk = client.Talk(metadata(token));
    const heard = drained(talk);
    for (const symbol of ["a", "b"]) talk.write({ symbol });
    talk.end();
    assert.deepEqual((await heard).texts, ["a", "b"]);
    assert.ok(!server.seen.some((fields) => JSON.stringify(fields).includes(token)), "the server never sees the bearer");
    assert.ok(server.seen.some((fields) => fields["x-nightlatch-session"] === id), "and is told whose it is");
  });

  test("the server's own errors pass as they are", async () => {
    const { token } = await site.start({ subject: "ada" });
    const { error } = await place(metadata(token), "NONE");
    assert.deepEqual([error.code, error.details], [grpc.status.NOT_FOUND, "no such symbol"]);
  });

  test("without a session, UNAUTHENTICATED", async () => {
    for (const token of ["", `nlt_${"A".repeat(43)}`]) {
      const { error } = await place(metadata(token));
      assert.deepEqual([error.code, error.details], [grpc.status.UNAUTHENTICATED, "not signed in"]);
    }
  });

  test("at the deadline a stream, a conversation and a call without an answer end as UNAUTHENTICATED, with the reason", async () => {
    const { id, token } = await site.start({ subject: "grace" });
    const [stream, talk] = [client.Quotes({ symbol: "1000000" }, metadata(token)), client.Talk(metadata(token))];
    talk.write({ symbol: "hello" });
    const [quotes, heard, unanswered] = await Promise.all([
      drained(stream),
      drained(talk),
      place(metadata(token), "SILENT"),
    ]);
    for (const status of [quotes.status, heard.status, unanswered.error]) {
      assert.deepEqual([status.code, status.details], [grpc.status.UNAUTHENTICATED, "idle_timeout"]);
    }
    assert.ok(quotes.texts.length > 5, "it was under way");
    assert.deepEqual(heard.texts, ["hello"]);
    assert.equal(unanswered.error.metadata.get("nightlatch-outcome")[0], "unknown", "the server had it whole");
    const ended = await site.recorded(id, "session_ended");
    assert.equal(ended.reason, "idle_timeout");
    const cuts = await eventually("two cuts on the record", async () => {
      const found = (await site.record(id)).filter((entry) => entry.what === "cut");
      return found.length === 2 && found;
    });
    assert.deepEqual(cuts.map(({ how }) => how), ["grpc-status 16", "grpc-status 16"]);
    await eventually("the server hearing of it", () => server.cancelled >= 2);
    assert.equal((await place(metadata(token))).error.details, "idle_timeout");
  });

  test("an operator's end cuts one session's calls and no other's on the same connection", async () => {
    const [one, two] = [await site.start({ subject: "joe" }), await site.start({ subject: "may" })];
    const [cut, lives] = [client.Quotes({ symbol: "1000000" }, metadata(one.token)), client.Quotes({ symbol: "40" }, metadata(two.token))];
    const both = Promise.all([drained(cut), drained(lives)]);
    await eventually("both being open", async () => {
      const open = await Promise.all([one, two].map(async ({ id }) => (await site.api("operator", `GET /v1/sessions/${id}`)).json().open));
      return open.every((count) => count > 0);
    });
    await site.api("operator", `DELETE /v1/sessions/${one.id}?cause=test`);
    const [ended, whole] = await both;
    assert.deepEqual([ended.status.code, ended.status.details], [grpc.status.UNAUTHENTICATED, "revoked"]);
    assert.deepEqual([whole.status.code, whole.texts.length], [grpc.status.OK, 40]);
  });
});

/** @param {import("./support/later.js").Owner} owner */
async function startServer(owner) {
  /** @type {Record<string, unknown>[]} */
  const seen = [];
  const state = { cancelled: 0 };
  const server = new grpc.Server();
  server.addService(desk.Orders.service, {
    /** @type {(call: any, answer: any) => void} */
    Place(call, answer) {
      seen.push(call.metadata.getMap());
      if (call.request.symbol === "SILENT") return;
      if (call.request.symbol === "NONE") return answer({ code: grpc.status.NOT_FOUND, details: "no such symbol" });
      const trailer = new grpc.Metadata();
      trailer.set("x-after", "yes");
      answer(null, { text: `${call.request.symbol} for ${call.metadata.get("x-nightlatch-subject")[0]}` }, trailer);
    },
    /** @type {(call: any) => void} */
    Quotes(call) {
      let sent = 0;
      const most = Number(call.request.symbol);
      const timer = setInterval(() => {
        if (sent < most) return call.write({ text: String(sent++) });
        clearInterval(timer);
        call.end();
      }, 20);
      call.on("cancelled", () => {
        clearInterval(timer);
        state.cancelled += 1;
      });
    },
    /** @type {(call: any) => void} */
    Talk(call) {
      call.on("data", (/** @type {any} */ order) => call.write({ text: order.symbol }));
      call.on("end", () => call.end());
      call.on("error", () => {});
      call.on("cancelled", () => (state.cancelled += 1));
    },
  });
  const port = await new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port))),
  );
  later(owner, () => server.forceShutdown());
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    get cancelled() {
      return state.cancelled;
    },
  };
}
