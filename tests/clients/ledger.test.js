// @ts-check
// The record, checked from outside: by the program's own commands, on files alone.
import assert from "node:assert/strict";
import { copyFile, mkdir, open as openFile, readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, signIn } from "./support/http.js";
import { shared } from "./support/later.js";
import { folder, nightlatch, run } from "./support/program.js";
import { startDeskSite } from "./support/site.js";
import { eventually } from "./support/wait.js";

describe("ledger", () => {
  const file = shared(after);
  /** @type {Awaited<ReturnType<typeof startDeskSite>>} */
  let site;
  /** @type {string[]} */
  const sessions = [];
  /** The newest checkpoint while the server still ran, kept elsewhere. @type {string} */
  let checkpoint;
  /** @type {string} */
  let elsewhere;

  before(async () => {
    elsewhere = await folder(file);
    site = await startDeskSite(file, { idle: "1500ms" });
    for (const user of ["trader", "trader2", "supervisor"]) {
      const { cookie, token } = await signIn(site.url, user);
      sessions.push(await site.sessionOf(token));
      if (user === "supervisor") {
        await ask(`${site.url}/_nightlatch/logout`, { method: "POST", headers: { Cookie: cookie, Origin: site.url } });
      }
    }
    const revoked = await site.start({ subject: "ada@desk.example" });
    sessions.push(revoked.id);
    await site.api("operator", `DELETE /v1/sessions/${revoked.id}?cause=review&ticket=INC-1`);
    for (const session of sessions) await site.recorded(session, "session_ended");
    const size = (await site.api("auditor", "GET /v1/ledger/entries?limit=1")).json().size;
    checkpoint = await eventually("a checkpoint over all of it", async () => {
      const note = (await site.api("auditor", "GET /v1/ledger/checkpoint")).text;
      return Number(note.split("\n")[1]) >= size && note;
    });
  });

  test("while the server runs: verify says that all fits together, and that nobody else has seen it", async () => {
    const { code, stdout } = await nightlatch("ledger", "verify", "--dir", site.data);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /not independently anchored/);
  });

  test("tail and session show are the record on a terminal", async () => {
    const key = path.join(site.dir, "auditor.key");
    const at = ["--admin", site.admin, "--key-file", key];
    const tail = await nightlatch("ledger", "tail", ...at, "--from", "0", "--session", sessions[0], "--count", "2", "--json");
    assert.equal(tail.code, 0, tail.stderr);
    const whats = tail.stdout.trim().split("\n").map((line) => JSON.parse(line).entry.what);
    assert.deepEqual(whats, ["session_started", "session_ended"]);
    const shown = await nightlatch("session", "show", ...at, sessions[3], "--json");
    assert.equal(shown.code, 0, shown.stderr);
    assert.equal(JSON.parse(shown.stdout).end.reason, "revoked");
    const text = await nightlatch("session", "list", ...at, "--state", "ended");
    assert.equal(text.code, 0, text.stderr);
    for (const session of sessions) assert.ok(text.stdout.includes(session), text.stdout);
  });

  test("after the server has stopped: verified, exported, and the export verified with a key and a checkpoint from elsewhere", async (t) => {
    await stopped();
    const { code, stdout } = await nightlatch("ledger", "verify", "--dir", site.data);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /not independently anchored/);

    const exported = path.join(await folder(t), "export");
    const done = await nightlatch("ledger", "export", "--dir", site.data, "--to", exported);
    assert.equal(done.code, 0, done.stderr);
    const key = await keyElsewhere();
    const alone = await nightlatch("ledger", "verify", "--dir", exported, "--key", key);
    assert.equal(alone.code, 0, alone.stderr);
    assert.match(alone.stdout, /not independently anchored/);

    const note = await write(path.join(elsewhere, "checkpoint"), checkpoint);
    const anchored = await nightlatch("ledger", "verify", "--dir", exported, "--key", key, "--checkpoint", note, "--json");
    assert.equal(anchored.code, 0, anchored.stderr);
    const report = JSON.parse(anchored.stdout);
    assert.equal(report.independently_anchored, true);
    assert.ok(report.anchored_entries >= 9);

    const entries = await exportedEntries(exported);
    assert.equal(entries.length, report.entries);
    for (const session of sessions) {
      const whats = entries.filter((entry) => entry.session === session).map(({ what }) => what);
      assert.equal(whats.filter((what) => what === "session_started").length, 1, "one start");
      assert.equal(whats.filter((what) => what === "session_ended").length, 1, "one end");
    }
    const reasons = sessions.map((id) => entries.find((e) => e.session === id && e.what === "session_ended")?.reason);
    assert.deepEqual(reasons, ["idle_timeout", "idle_timeout", "logout", "revoked"]);
    const all = JSON.stringify(entries);
    for (const secret of ['"trader"', '"trader2"', "ada@desk", "nlt_"]) {
      assert.ok(!all.includes(secret), `nobody's name and no credential is in it: ${secret}`);
    }
    assert.equal(entries.at(-1)?.what, "stopped");
  });

  test("an entry is proved to somebody who has only a checkpoint", async () => {
    await stopped();
    const { code, stdout, stderr } = await nightlatch("ledger", "prove", "--dir", site.data, "1", "--json");
    assert.equal(code, 0, stderr);
    assert.ok(stdout.includes(sessions[0]));
    const beyond = await nightlatch("ledger", "prove", "--dir", site.data, "100000");
    assert.equal(beyond.code, 1, beyond.stderr);
  });

  test("one changed byte is found and named, in a copy and in an export", async (t) => {
    await stopped();
    const dir = await folder(t);
    const copy = path.join(dir, "copy");
    await run("cp", ["--recursive", "--sparse=always", path.join(site.data, "ledger"), copy]);
    const key = await keyElsewhere();
    assert.equal((await nightlatch("ledger", "verify", "--dir", copy, "--key", key)).code, 0);
    const segment = (await readdir(copy)).find((name) => name.endsWith(".segment")) ?? "";
    const [index] = await changeOneByte(path.join(copy, segment), sessions[3], '"reason":"revoked"');
    const found = await nightlatch("ledger", "verify", "--dir", copy, "--key", key, "--json");
    assert.equal(found.code, 1, found.stdout);
    const report = JSON.parse(found.stdout);
    assert.equal(report.consistent, false);
    assert.ok(report.first_bad_entry.from <= index && index <= report.first_bad_entry.to, JSON.stringify(report));
    const text = await nightlatch("ledger", "verify", "--dir", copy, "--key", key);
    assert.match(text.stdout, new RegExp(`\\b${report.first_bad_entry.from}\\b`));

    const exported = path.join(dir, "export");
    assert.equal((await nightlatch("ledger", "export", "--dir", site.data, "--to", exported)).code, 0);
    const tiles = (await readdir(path.join(exported, "tile/entries"), { recursive: true })).map((name) => path.join(exported, "tile/entries", name));
    const tile = tiles.find((name) => /\/\d+$/.test(name) && !name.endsWith(".p")) ?? "";
    await changeOneByte(tile, sessions[3], '"reason":"revoked"');
    const changed = await nightlatch("ledger", "verify", "--dir", exported, "--key", key, "--json");
    assert.equal(changed.code, 1, changed.stdout);
    assert.notEqual(JSON.parse(changed.stdout).first_bad_entry, null);
    const refused = await nightlatch("ledger", "export", "--dir", copy, "--to", path.join(dir, "again"), "--key", key);
    assert.equal(refused.code, 1, "what does not fit together is not exported");
  });

  test("a ledger that is not there: exit code 3", async (t) => {
    const none = await nightlatch("ledger", "verify", "--dir", await folder(t), "--key", await keyElsewhere());
    assert.equal(none.code, 3, none.stderr);
  });

  const stopped = () => site.server.stop();

  async function keyElsewhere() {
    const there = path.join(elsewhere, "ledger.vkey");
    await copyFile(path.join(site.data, "keys/ledger.vkey"), there);
    return there;
  }
});

/**
 * Writes a file, and gives its name.
 * @param {string} name
 * @param {string} text
 */
async function write(name, text) {
  await mkdir(path.dirname(name), { recursive: true });
  const file = await openFile(name, "w");
  await file.writeFile(text);
  await file.close();
  return name;
}

/**
 * Every entry of an export (https://c2sp.org/tlog-tiles): a length of two bytes, and that many bytes, again and again.
 * @param {string} exported
 * @returns {Promise<Record<string, any>[]>}
 */
async function exportedEntries(exported) {
  const dir = path.join(exported, "tile/entries");
  const names = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  /** @type {Record<string, any>[]} */
  const entries = [];
  for (const { path: parent, name } of names) {
    const bytes = await readFile(path.join(parent, name));
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUInt16BE(at);
      entries.push(JSON.parse(bytes.toString("utf8", at + 2, at + 2 + length)));
      at += 2 + length;
    }
  }
  return entries;
}

/**
 * Changes one letter of the first `text` that follows the last `anchor`. Gives the index of the entry it is in.
 * @param {string} name
 * @param {string} anchor
 * @param {string} text
 */
async function changeOneByte(name, anchor, text) {
  const bytes = await readFile(name);
  const entry = bytes.lastIndexOf(`{"what":"session_ended","session":"${anchor}"`);
  const at = bytes.indexOf(text, entry) + text.length - 2;
  assert.ok(entry > 0 && at > entry, "the entry is there");
  const file = await openFile(name, "r+");
  await file.write(Buffer.from([bytes[at] ^ 1]), 0, 1, at);
  await file.close();
  return [bytes.subarray(0, entry).toString("latin1").split('{"what":').length - 1];
}
