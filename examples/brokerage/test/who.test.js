// @ts-check
import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { HEADER, startDesk } from "./start.js";

test("without a user header configured every request is refused, but health is told", async (t) => {
  const { url } = await startDesk(t, { userHeader: undefined });
  for (const path of ["/", "/api/positions", "/assets/desk.css", "/nothing"]) {
    const response = await fetch(url + path, { headers: { [HEADER]: "trader" } });
    assert.equal(response.status, 403, path);
    assert.equal((await response.json()).title, "No user header configured");
  }
  assert.deepEqual(await (await fetch(`${url}/healthz`)).json(), { status: "ok" });
});

test("a missing, empty, unknown or doubled user is refused", async (t) => {
  const { url, as } = await startDesk(t);
  assert.equal((await fetch(`${url}/api/whoami`)).status, 403);
  assert.equal((await as("")("/api/whoami")).status, 403);
  assert.equal((await as("stranger")("/api/whoami")).status, 403);
  assert.equal((await as("__proto__")("/api/whoami")).status, 403);
  const status = await new Promise((resolve) => {
    request(`${url}/api/whoami`, { headers: { [HEADER]: ["trader", "administrator"] } }, (res) => {
      res.resume();
      resolve(res.statusCode);
    }).end();
  });
  assert.equal(status, 403);
});

test("whoami tells user and role, and the headers only when asked to at the start", async (t) => {
  const shy = await startDesk(t);
  const quiet = await (await shy.as("trader")("/api/whoami")).json();
  assert.deepEqual(quiet, {
    user: "trader",
    name: "Tess Marlow",
    role: "trader",
    desk_session: null,
    desk_session_user: null,
  });
  const open = await startDesk(t, { revealHeaders: true });
  const told = await (await open.as("supervisor")("/api/whoami", { headers: { "X-Probe": "one" } })).json();
  assert.equal(told.role, "supervisor");
  assert.equal(told.headers["x-probe"], "one");
  assert.equal(told.raw_headers[told.raw_headers.findIndex((/** @type {string} */ n) => n.toLowerCase() === "x-probe") + 1], "one");
});

test("users may be added at the start", async (t) => {
  const { as } = await startDesk(t, { users: [{ id: "ada@example.com", role: "trader" }] });
  assert.equal((await (await as("ada@example.com")("/api/whoami")).json()).role, "trader");
  assert.equal((await (await as("ada@example.com")("/api/positions")).json()).positions.length, 5);
});

test("the desk's cookie is set at the first page load and stays with its user", async (t) => {
  const { as } = await startDesk(t);
  const first = await as("trader")("/");
  const set = first.headers.get("set-cookie") ?? "";
  assert.match(set, /^desk_session=[\w-]{32}; Path=\/; HttpOnly; SameSite=Lax$/);
  const cookie = set.split(";")[0];
  assert.equal((await as("trader")("/", { headers: { Cookie: cookie } })).headers.get("set-cookie"), null);
  const seen = await (await as("trader")("/api/whoami", { headers: { Cookie: cookie } })).json();
  assert.equal(`desk_session=${seen.desk_session}`, cookie);
  assert.equal(seen.desk_session_user, "trader");

  const other = await as("trader2")("/", { headers: { Cookie: cookie } });
  assert.notEqual(other.headers.get("set-cookie"), null);
  const foreign = await (await as("trader2")("/api/whoami", { headers: { Cookie: cookie } })).json();
  assert.equal(foreign.desk_session_user, "trader");
});

test("each role sees what is its own", async (t) => {
  const { as } = await startDesk(t);
  const status = async (/** @type {string} */ user, /** @type {string} */ path) => (await as(user)(path)).status;
  for (const path of ["/api/positions", "/api/orders"]) {
    assert.equal(await status("trader", path), 200);
    assert.equal(await status("supervisor", path), 200);
    assert.equal(await status("administrator", path), 403);
  }
  for (const path of ["/api/users", "/api/audit"]) {
    assert.equal(await status("trader", path), 403);
    assert.equal(await status("supervisor", path), 403);
    assert.equal(await status("administrator", path), 200);
  }
  const own = (await (await as("trader")("/api/positions")).json()).positions;
  const all = (await (await as("supervisor")("/api/positions")).json()).positions;
  assert.deepEqual([...new Set(own.map((/** @type {any} */ row) => row.user))], ["trader"]);
  assert.deepEqual([...new Set(all.map((/** @type {any} */ row) => row.user))], ["trader", "trader2"]);
});

test("what another site started is refused", async (t) => {
  const { as } = await startDesk(t);
  const response = await as("trader")("/api/documents", {
    method: "POST",
    body: "x",
    headers: { "Sec-Fetch-Site": "cross-site" },
  });
  assert.equal(response.status, 403);
});
