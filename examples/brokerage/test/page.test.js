// @ts-check
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { startDesk } from "./start.js";

test("the page names who is signed in and shows what the role needs", async (t) => {
  const { as } = await startDesk(t);
  const page = async (/** @type {string} */ user) => (await as(user)("/")).text();
  const trader = await page("trader");
  assert.match(trader, /Tess Marlow/);
  assert.match(trader, /id="ticket-form"/);
  assert.doesNotMatch(trader, /id="audit"/);
  assert.doesNotMatch(await page("supervisor"), /id="ticket-form"/);
  const administrator = await page("administrator");
  assert.match(administrator, /id="audit-table"/);
  assert.doesNotMatch(administrator, /id="positions"/);
});

test("the sign-out form is there when an address is given, and only then", async (t) => {
  const without = await startDesk(t);
  assert.doesNotMatch(await (await without.as("trader")("/")).text(), /Sign out/);
  const given = await startDesk(t, { signOutUrl: '/leave?a="b"' });
  assert.match(
    await (await given.as("trader")("/")).text(),
    /<form method="post" action="\/leave\?a=&#34;b&#34;" id="sign-out">/,
  );
});

test("a name cannot break out of the page", async (t) => {
  const { as } = await startDesk(t, { users: [{ id: "<script>alert(1)</script>", role: "trader" }] });
  assert.doesNotMatch(await (await as("<script>alert(1)</script>")("/")).text(), /<script>alert/);
});

test("assets need no user, are revalidated, and are only what lies in the folder", async (t) => {
  const { url } = await startDesk(t);
  for (const name of readdirSync(new URL("../page/", import.meta.url))) {
    const response = await fetch(`${url}/assets/${name}`);
    assert.equal(response.status, 200, name);
    await response.arrayBuffer();
    const tag = response.headers.get("etag") ?? "";
    assert.equal((await fetch(`${url}/assets/${name}`, { headers: { "If-None-Match": tag } })).status, 304);
  }
  for (const name of ["../server.js", "..%2fserver.js", "%2e%2e/server.js", "nothing.js", ""]) {
    assert.notEqual((await fetch(`${url}/assets/${name}`)).status, 200, name);
  }
});

test("an unknown address is 404, a wrong method 405 with what is possible", async (t) => {
  const { as } = await startDesk(t);
  const nothing = await as("trader")("/nothing");
  assert.equal(nothing.status, 404);
  assert.equal(nothing.headers.get("content-type"), "application/problem+json; charset=utf-8");
  const wrong = await as("trader")("/api/orders", { method: "DELETE" });
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get("allow"), "GET, POST");
  assert.equal((await as("trader")("/ws/quotes")).status, 426);
  const html = await as("trader")("/nothing", { headers: { Accept: "text/html" } });
  assert.match(await html.text(), /<h1>Nothing here<\/h1>/);
});
