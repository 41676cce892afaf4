// @ts-check
// The record checked by a program that shares no code with ours, from the specifications alone: as it is, and damaged in every way we could
// think of, by whoever can write the files and by whoever holds the ledger's key.
import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, open, signIn } from "./support/http.js";
import { shared } from "./support/later.js";
import { ROOT, folder, nightlatch, run } from "./support/program.js";
import { startDeskSite } from "./support/site.js";
import { eventually } from "./support/wait.js";
import { MISSING, keyOfAnother, startWitness } from "./support/witness.js";

const PROOF = path.join(ROOT, "proof");

describe("proof", () => {
  const file = shared(after);
  /** @type {string} */
  let dir;
  /** The export, the ledger's public key, its secret one, and the witness's, if there is a witness. */
  const at = { exported: "", key: "", secret: "", witness: "" };
  /** A checkpoint that was fetched while the first run was up. */
  let kept = "";

  before(async () => {
    dir = await folder(file);
    const witness = MISSING ? null : await startWitness(file);
    const ledger = witness ? `anchor_every = "1s"\n[[ledger.witness]]\nkey = "${witness.key}"\nurl = "${witness.url}"` : "";
    const site = await startDeskSite(file, { idle: "3s", ledger });
    await witness?.knows(await keyOf(site.data));
    // A session that idles away with something open, one that signs out, one revoked, one blocked, one that refuses after its end.
    const idle = await signIn(site.url, "trader");
    const stream = await open(`${site.url}/api/news`, { Cookie: idle.cookie });
    const idles = await site.sessionOf(idle.token);
    const out = await signIn(site.url, "supervisor");
    await ask(`${site.url}/_nightlatch/logout`, { method: "POST", headers: { Cookie: out.cookie, Origin: site.url } });
    const revoked = await site.start({ subject: "ada" });
    await site.api("operator", `DELETE /v1/sessions/${revoked.id}?cause=review&ticket=INC-1`);
    const blocked = await site.start({ subject: "grace" });
    assert.equal((await site.api("operator", "PUT /v1/subjects/grace/block", { cause: "left the firm" })).status, 200);
    // One that steps up, with the new credential presented.
    const proved = await site.start({ subject: "lin" });
    const added = await site.api("issuer", `POST /v1/sessions/${proved.id}/authentications`, { acr: "mfa" });
    assert.equal(added.status, 201, added.text);
    await ask(`${site.url}/api/orders`, { headers: { Authorization: `Bearer ${added.json().token}` } });
    await stream.over;
    await ask(`${site.url}/api/orders`, { headers: { Cookie: idle.cookie } });
    for (const id of [idles, revoked.id, blocked.id]) await site.recorded(id, "session_ended");
    kept = path.join(dir, "kept");
    await checkpointOver(site, kept);

    // Killed with a session open, started with tighter limits, stopped; then restored from a backup of that.
    await site.start({ subject: "joan" });
    await site.server.stop("SIGKILL");
    const again = await startDeskSite(file, { idle: "20s", absolute: "30s", dir: site.dir, ledger });
    assert.equal((await again.api("operator", "DELETE /v1/subjects/grace/block")).status, 200);
    await again.start({ subject: "grace" });
    const backup = path.join(dir, "backup");
    assert.equal((await nightlatch("backup", backup, "--data", site.data)).code, 0);
    await again.server.stop();
    const restored = await nightlatch("restore", backup, "--data", site.data, "--replace");
    assert.equal(restored.code, 0, restored.stderr);
    const third = await startDeskSite(file, { idle: "1500ms", dir: site.dir, ledger });
    const last = await third.start({ subject: "joan" });
    await third.recorded(last.id, "session_ended");
    await third.server.stop();

    at.exported = path.join(dir, "export");
    const done = await nightlatch("ledger", "export", "--dir", site.data, "--to", at.exported);
    assert.equal(done.code, 0, done.stderr);
    at.key = path.join(dir, "ledger.vkey");
    await copyFile(path.join(site.data, "keys/ledger.vkey"), at.key);
    at.secret = path.join(site.data, "keys/ledger.key");
    at.witness = witness?.key ?? "";
  });

  test("published vectors come out", async () => {
    const { code, stderr } = await run("python3", [path.join(PROOF, "tests/vectors.py")]);
    assert.equal(code, 0, stderr);
  });

  test("a record of ends, cuts, blocks, a crash and a restore holds, and every promise was asked", async () => {
    const witness = at.witness ? ["--witness", at.witness] : [];
    const { code, report, stderr } = await verify(at.exported, ["--checkpoint", kept, ...witness]);
    assert.equal(code, 0, JSON.stringify(report.found) + stderr);
    for (const kind of KINDS) assert.ok(report.kinds[kind] > 0, `the record has no ${kind}`);
    for (const { check, times } of report.checks) {
      const needsWitness = ["cosigned", "witness"].includes(check);
      assert.ok(times > 0 || (needsWitness && !at.witness), `${check} was never asked`);
    }
    const by = report.anchored.map((/** @type {{by: string}} */ anchor) => anchor.by.split("`")[0]);
    assert.deepEqual(by.sort(), at.witness ? ["a checkpoint that was given", "witness "] : ["a checkpoint that was given"]);
    const ours = await nightlatch("ledger", "verify", "--dir", at.exported, "--key", at.key, "--json");
    assert.deepEqual([report.entries, report.root], [JSON.parse(ours.stdout).entries, JSON.parse(ours.stdout).root]);

    const text = await run("python3", [path.join(PROOF, "verify.py"), at.exported, "--key", at.key]);
    assert.equal(text.code, 0, text.stdout);
    assert.match(text.stdout, /not independently anchored/);
    assert.match(text.stdout, /not checked: /);
    const late = await verify(at.exported, ["--late-most", "0"]);
    assert.deepEqual([late.code, broken(late.report)], [1, ["late-most"]], "nothing is cut in no time");
  });

  const KINDS = [
    ...["started", "session_started", "session_ended", "cut", "refused_after_end", "subject_blocked", "subject_unblocked"],
    ...["limits_lowered", "restored", "stopped"],
  ];
  const FILES = [
    ["nothing", []],
    ["a letter of an entry", ["entries", "tiles"]],
    ["a bundle that ends early", ["entries"]],
    ["a bundle with more behind it", ["entries"]],
    ["a bit of a hash", ["tiles"]],
    ["a tile that is gone", ["tiles"]],
    ["a bit of the signature", ["signature"]],
    ["another size", ["signature"]],
    ["the history in another order", ["history"]],
    ["half a note in the history", ["history"]],
  ];
  const HISTORIES = [
    ["nothing", []],
    ["many of a kind to come", []],
    ["a session that ended starts again", ["one-start"]],
    ["a session ends twice", ["never-revived"]],
    ["an end a millisecond late", ["by-the-numbers", "never-longer"]],
    ["an end a millisecond early", ["by-the-numbers"]],
    ["a session that never ended", ["nothing-forgotten"]],
    ["a start that is gone", ["one-start"]],
    ["a longer hard end", ["never-longer"]],
    ["another lateness", ["lateness"]],
    ["a cut before the end", ["cuts"]],
    ["a start while blocked", ["blocks"]],
    ["a session that outlives a block", ["blocks"]],
    ["a clock that goes back", ["order"]],
    ["a start after a stop", ["sequence"]],
    ["a kind of session that there is not", ["form"]],
    ["a field that is gone", ["form"]],
  ];

  test("what was damaged by whoever can write the files is found and named", async () => {
    for (const [damage, expected] of FILES) {
      const { code, report } = await verify(await forged(String(damage), "file"));
      assert.deepEqual([broken(report), code], [expected, expected.length > 0 ? 1 : 0], `${damage}: ${JSON.stringify(report.found)}`);
    }
  });

  test("what was written anew and signed by whoever holds the key is found by what the entries say", async () => {
    for (const [damage, expected] of HISTORIES) {
      const to = await forged(String(damage), "history", ["--key", at.secret]);
      const { code, report } = await verify(to);
      // One lie brings others; the one that was told is among them, and the signature holds.
      const found = broken(report);
      for (const name of expected) assert.ok(found.includes(name), `${damage}: ${JSON.stringify(report.found)}`);
      assert.ok(!found.includes("signature") && !found.includes("entries"), `${damage}: ${found}`);
      assert.equal(code, expected.length > 0 ? 1 : 0, `${damage}: ${JSON.stringify(report.found)}`);
      // Ours does not look at what entries say, and both read the same tree.
      const ours = await nightlatch("ledger", "verify", "--dir", to, "--key", at.key, "--json");
      assert.deepEqual([JSON.parse(ours.stdout).root, ours.code], [report.root, 0], String(damage));
    }
  });

  test("what was written anew below a checkpoint that somebody kept is found by that, and above it is not", async () => {
    for (const [damage, isBelow] of /** @type {[string, boolean][]} */ ([["a session that never ended", true], ["a longer hard end", false]])) {
      const { report } = await verify(await forged(damage, "anchored", ["--key", at.secret]), ["--checkpoint", kept]);
      assert.equal(broken(report).includes("supplied"), isBelow, JSON.stringify(report.found));
      assert.equal(report.anchored.length, isBelow ? 0 : 1);
    }
  });

  test("another's key, no export, the server's own files, and a key that was mistyped", async () => {
    const data = path.dirname(path.dirname(at.secret));
    const key = await keyOf(data);
    const rows = [
      { key, dir: data, code: 2, says: "nightlatch ledger export" },
      { key, dir: path.join(data, "ledger"), code: 2, says: "nightlatch ledger export" },
      { key: keyOfAnother(key.split("+")[0]), dir: at.exported, code: 1 },
      { key, dir: path.join(dir, "nowhere"), code: 3 },
      { key: key.slice(0, -2), dir: at.exported, code: 2 },
    ];
    for (const row of rows) {
      const other = path.join(dir, "other.vkey");
      await writeFile(other, `${row.key}\n`);
      const { code, stdout, stderr } = await run("python3", [path.join(PROOF, "verify.py"), row.dir, "--key", other]);
      assert.equal(code, row.code, stdout);
      assert.ok(stderr.includes(row.says ?? ""), stderr);
    }
  });

  /**
   * @param {string} exported
   * @param {string[]} [more]
   */
  async function verify(exported, more = []) {
    const args = [path.join(PROOF, "verify.py"), exported, "--key", at.key, "--json", ...more];
    const { code, stdout, stderr } = await run("python3", args);
    assert.ok(stdout.startsWith("{"), `${code}: ${stderr}`);
    return { code, stderr, report: JSON.parse(stdout) };
  }

  /**
   * @param {string} damage
   * @param {string} kind
   * @param {string[]} [more]
   */
  async function forged(damage, kind, more = []) {
    const to = path.join(dir, `${kind} ${damage}`);
    const { code, stderr } = await run("python3", [path.join(PROOF, "tests/forge.py"), at.exported, to, damage, ...more]);
    assert.equal(code, 0, stderr);
    return to;
  }

  /** @param {{checks: {check: string, holds: boolean}[]}} report */
  const broken = (report) => report.checks.filter(({ holds }) => !holds).map(({ check }) => check);
});

/** @param {string} data the data directory */
const keyOf = async (data) => (await readFile(path.join(data, "keys/ledger.vkey"), "utf8")).trim();

/**
 * Keeps a checkpoint over all that is on record now.
 * @param {{api: Awaited<ReturnType<typeof startDeskSite>>["api"]}} site
 * @param {string} to
 */
async function checkpointOver(site, to) {
  const { size } = (await site.api("auditor", "GET /v1/ledger/entries?limit=1")).json();
  await eventually("a checkpoint over all of it", async () => {
    const note = (await site.api("auditor", "GET /v1/ledger/checkpoint")).text;
    if (Number(note.split("\n")[1]) < size) return false;
    await writeFile(to, note);
    return true;
  });
}
