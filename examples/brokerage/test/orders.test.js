// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, startDesk } from "./start.js";

const BUY = { symbol: "CSTL", side: "buy", quantity: 100 };

test("an order is numbered, filled, listed, and changes the position", async (t) => {
  const { as, order } = await startDesk(t);
  const response = await order("trader", { ...BUY, limit: "31.50", note: "first" });
  assert.equal(response.status, 201);
  const placed = await response.json();
  assert.match(placed.id, /^HS-\d{6}$/);
  assert.equal(placed.status, "filled");
  assert.equal(placed.price, 31.5);
  assert.equal(placed.value, 3150);
  assert.deepEqual((await (await as("trader")("/api/orders")).json()).orders[0], placed);
  assert.deepEqual((await (await as("trader2")("/api/orders")).json()).orders, []);
  const held = (await (await as("trader")("/api/positions")).json()).positions;
  assert.equal(held.find((/** @type {any} */ row) => row.symbol === "CSTL").quantity, 4100);
});

test("selling everything closes the position, and more than is held cannot be sold", async (t) => {
  const { as, order } = await startDesk(t);
  assert.equal((await order("trader", { symbol: "KEEL", side: "sell", quantity: 351 })).status, 422);
  assert.equal((await order("trader", { symbol: "KEEL", side: "sell", quantity: 350 })).status, 201);
  const held = (await (await as("trader")("/api/positions")).json()).positions;
  assert.equal(held.some((/** @type {any} */ row) => row.symbol === "KEEL"), false);
});

test("what is held cannot be sold twice while a first sale settles", async (t) => {
  const { order } = await startDesk(t);
  const sell = { symbol: "KEEL", side: "sell", quantity: 350 };
  const both = await Promise.all([order("trader", sell, "?settle_ms=100"), order("trader", sell, "?settle_ms=150")]);
  const ends = await Promise.all(both.map(async (response) => (await response.json()).status));
  assert.deepEqual(ends.sort(), ["filled", "rejected"]);
});

test("an order above the limit waits for a supervisor", async (t) => {
  const { as, order } = await startDesk(t);
  const large = { symbol: "LNTN", side: "buy", quantity: 1000 };
  const [first, second] = [await (await order("trader", large)).json(), await (await order("trader", large)).json()];
  assert.equal(first.status, "awaiting_approval");
  const told = (await (await as("supervisor")("/api/notifications")).json()).notifications;
  assert.equal(told[0].text, `Order ${first.id} by Tess Marlow awaits approval.`);

  const decide = (/** @type {string} */ user, /** @type {string} */ path) =>
    as(user)(`/api/orders/${path}`, { method: "POST" });
  assert.equal((await decide("trader", `${first.id}/approve`)).status, 403);
  const approved = await (await decide("supervisor", `${first.id}/approve`)).json();
  assert.equal(approved.status, "filled");
  assert.equal(approved.decided_by, "supervisor");
  assert.equal((await decide("supervisor", `${first.id}/approve`)).status, 409);
  assert.equal((await (await decide("supervisor", `${second.id}/reject`)).json()).status, "rejected");
  assert.equal((await decide("supervisor", "HS-999999/approve")).status, 404);

  const mine = (await (await as("trader")("/api/notifications")).json()).notifications;
  assert.equal(mine.length, 2);
  assert.deepEqual(
    (await (await as("trader")(`/api/notifications?after=${mine[1].id}`)).json()).notifications,
    [],
  );
});

test("only a trader places orders", async (t) => {
  const { order } = await startDesk(t);
  assert.equal((await order("supervisor", BUY)).status, 403);
  assert.equal((await order("administrator", BUY)).status, 403);
});

test("a slow order is seen settling, and is placed even if the client goes away", async (t) => {
  const { as, order, entries } = await startDesk(t);
  const started = Date.now();
  const slow = order("trader", BUY, "?settle_ms=300");
  await eventually(() => Date.now() - started > 100, "time");
  assert.equal((await (await as("trader")("/api/orders")).json()).orders[0].status, "settling");
  assert.equal((await (await slow).json()).status, "filled");
  assert.ok(Date.now() - started >= 295);

  const away = new AbortController();
  const left = as("trader")("/api/orders?settle_ms=200", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(BUY),
    signal: away.signal,
  });
  setTimeout(() => away.abort(), 80);
  await assert.rejects(left);
  await eventually(() => entries.find((entry) => entry.method === "POST" && entry.aborted), "aborted request");
  await new Promise((resolve) => setTimeout(resolve, 250));
  const all = (await (await as("trader")("/api/orders")).json()).orders;
  assert.deepEqual(all.map((/** @type {any} */ each) => each.status), ["filled", "filled"]);
  assert.equal((await order("trader", BUY, "?settle_ms=60001")).status, 400);
});

test("a posted form is answered with a redirect for a browser and JSON otherwise", async (t) => {
  const { as } = await startDesk(t);
  const post = (/** @type {Record<string, string>} */ headers, /** @type {string} */ quantity) =>
    as("trader")("/api/orders", {
      method: "POST",
      headers,
      body: new URLSearchParams({ symbol: "CSTL", side: "buy", quantity, limit: "", note: "" }),
    });
  const browser = await post({ Accept: "text/html,*/*" }, "10");
  assert.equal(browser.status, 303);
  assert.match(browser.headers.get("location") ?? "", /^\/\?order=HS-\d+#orders$/);
  assert.equal((await post({}, "10")).status, 201);
  const wrong = await post({ Accept: "text/html,*/*" }, "ten");
  assert.equal(wrong.status, 422);
  assert.match(await wrong.text(), /The order was not placed/);
});

test("bad orders are told what is wrong and change nothing", async (t) => {
  const { as, order } = await startDesk(t);
  /** @type {[unknown, string[]][]} */
  const bad = [
    [{}, ["symbol", "side", "quantity"]],
    [{ ...BUY, symbol: "NONE" }, ["symbol"]],
    [{ ...BUY, symbol: ["CSTL"] }, ["symbol"]],
    [{ ...BUY, side: "hold" }, ["side"]],
    [{ ...BUY, quantity: -1 }, ["quantity"]],
    [{ ...BUY, quantity: 1.5 }, ["quantity"]],
    [{ ...BUY, quantity: "1e3" }, ["quantity"]],
    [{ ...BUY, quantity: 1000001 }, ["quantity"]],
    [{ ...BUY, quantity: null }, ["quantity"]],
    [{ ...BUY, limit: "cheap" }, ["limit"]],
    [{ ...BUY, limit: 0 }, ["limit"]],
    [{ ...BUY, note: "x".repeat(501) }, ["note"]],
  ];
  for (const [fields, names] of bad) {
    const response = await order("trader", fields);
    const problem = await response.json();
    assert.equal(response.status, 422, JSON.stringify(fields));
    assert.deepEqual(problem.errors.map((/** @type {any} */ error) => error.field), names);
    assert.equal(problem.title, "The order was not placed");
  }

  const raw = (/** @type {string} */ body, /** @type {string} */ type) =>
    as("trader")("/api/orders", { method: "POST", headers: { "Content-Type": type }, body });
  for (const body of ["", "{", "null", "[]", "7"]) {
    assert.equal((await raw(body, "application/json")).status, 400, body);
  }
  assert.equal((await raw("<order/>", "application/xml")).status, 415);
  assert.equal((await raw(JSON.stringify({ note: "x".repeat(65536) }), "application/json")).status, 413);
  assert.deepEqual((await (await as("trader")("/api/orders")).json()).orders, []);
});

test("a body that grows past 64 KiB without saying so is refused too", async (t) => {
  const { as } = await startDesk(t);
  const piece = new TextEncoder().encode(" ".repeat(16384));
  let left = 20;
  const body = new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(piece);
      else controller.close();
    },
  });
  const response = await as("trader")("/api/orders", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
    // @ts-expect-error: needed for a streamed body, not in the types
    duplex: "half",
  });
  assert.equal(response.status, 413);
  assert.equal((await response.json()).detail, "At most 65536 bytes are read here.");
});

test("the administrator reads what was done", async (t) => {
  const { as, order } = await startDesk(t);
  await order("trader", BUY);
  const { entries } = await (await as("administrator")("/api/audit")).json();
  assert.match(entries[0].what, /^placed order HS-/);
  const { users } = await (await as("administrator")("/api/users")).json();
  assert.deepEqual(users.map((/** @type {any} */ user) => user.id), ["trader", "trader2", "supervisor", "administrator"]);
});
