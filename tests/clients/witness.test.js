// @ts-check
// The record shown to a witness that is not ours, and a history that was written anew shown to it as well.
import assert from "node:assert/strict";
import { cp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { ask } from "./support/http.js";
import { folder, nightlatch } from "./support/program.js";
import { startSite } from "./support/site.js";
import { eventually } from "./support/wait.js";
import { MISSING, NAME, keyOfAnother, startTls, startWitness } from "./support/witness.js";

/** @typedef {Awaited<ReturnType<typeof startSite>>} Site */

const LONG = { upstream: "http://127.0.0.1:1", idle: "3600s", absolute: "7200s", form: false };

test("a witness of somebody else's cosigns the record as it grows, and no other history with the same key", { skip: MISSING }, async (t) => {
  const witness = await startWitness(t);
  const tls = await startTls(t, witness.url);
  const site = await startSite(t, LONG);
  const config = await withWitness(site, `key = "${witness.key}"\nurl = "${tls.url}"\nca_file = "${tls.ca}"`);
  const anchor = () => nightlatch("ledger", "anchor", "--config", config);
  const log = (await readFile(path.join(site.data, "keys/ledger.vkey"), "utf8")).trim();
  const cosigned = path.join(site.data, "ledger/cosigned");

  for (const says of [/does not know this ledger/, /knows this ledger's name with another key/]) {
    const stranger = await anchor();
    assert.deepEqual([stranger.code, stranger.stdout], [3, ""], stranger.stderr);
    assert.match(stranger.stderr, says);
    await witness.knows(keyOfAnother(log.split("+")[0]));
  }
  await witness.knows(log);
  const first = await anchored(site, anchor, 1);
  const second = await anchored(site, anchor, first + 300);
  const again = await anchor();
  assert.equal(again.code, 0, "what it has seen it cosigns again");
  assert.ok((await readdir(cosigned)).length >= 2);
  const { code, stdout } = await nightlatch("ledger", "verify", "--dir", site.data, "--witness", witness.key);
  assert.equal(code, 0, stdout);
  assert.match(stdout, new RegExp(`anchored: ${second} entries by witness \`${NAME}\` at 20\\d\\d-`));

  // What an examiner took home, and the record as it was then.
  const home = await folder(t);
  const note = path.join(home, "checkpoint");
  await cp(path.join(cosigned, (await readdir(cosigned)).sort().at(-1) ?? ""), note);
  assert.ok((await readFile(note, "utf8")).includes(NAME));

  // The operator begins the record anew, with the same key, and leaves nothing lying about that says so.
  await site.server.stop();
  for (const name of await readdir(site.data)) {
    if (name !== "keys" && name !== "node") await rm(path.join(site.data, name), { recursive: true });
  }
  const other = await startSite(t, { ...LONG, dir: site.dir });
  assert.equal((await readFile(path.join(other.data, "keys/ledger.vkey"), "utf8")).trim(), log, "the same name and key");
  const rows = [
    { entries: 2, says: `has cosigned ${second} entries; the ledger here has 2` },
    { entries: second, says: "has cosigned" },
    { entries: second + 1, says: `has cosigned ${second} entries that the ${second + 1} here do not begin with` },
  ];
  for (const { entries, says } of rows) {
    await grown(other, entries);
    const refused = await anchor();
    assert.equal(refused.code, 1, `${entries}: ${refused.stdout}${refused.stderr}`);
    assert.ok(refused.stderr.includes(says), `${entries}: ${refused.stderr}`);
    assert.equal(refused.stdout, "");
  }
  const alone = await nightlatch("ledger", "verify", "--dir", site.data, "--witness", witness.key);
  assert.match(alone.stdout, /not independently anchored/, "nothing of the other history is anchored");
  const against = await nightlatch("ledger", "verify", "--dir", site.data, "--checkpoint", note);
  assert.equal(against.code, 1, against.stdout);
  assert.match(against.stdout, /inconsistent/);
});

test("the server shows it the record by itself, from when it is let in", { skip: MISSING }, async (t) => {
  const witness = await startWitness(t);
  const ledger = `anchor_every = "1s"\n[[ledger.witness]]\nkey = "${witness.key}"\nurl = "${witness.url}"`;
  const site = await startSite(t, { ...LONG, ledger });
  const numbers = async () => (await ask(`${site.admin}/metrics`)).text;
  const stranger = new RegExp(`nightlatch_witness_failures_total{witness="${NAME}",kind="stranger"} [1-9]`);
  await eventually("a witness that does not know the ledger", async () => stranger.test(await numbers()));
  await witness.knows((await readFile(path.join(site.data, "keys/ledger.vkey"), "utf8")).trim());
  const size = await grown(site, 20);
  const cosigned = new RegExp(`nightlatch_witness_cosigned_entries{witness="${NAME}"} ${size}\\.0\n`);
  await eventually("all of it cosigned", async () => cosigned.test(await numbers()));
  const { code, stdout } = await nightlatch("ledger", "verify", "--dir", site.data, "--witness", witness.key);
  assert.equal(code, 0, stdout);
  assert.match(stdout, new RegExp(`anchored: ${size} entries by witness`));
  const doctor = await nightlatch("doctor", "--config", site.file, "--admin", site.admin);
  assert.match(doctor.stdout, new RegExp(`good +witness \`${NAME}\`: it has cosigned ${size} entries`));
});

/**
 * The site's configuration with a witness in it, for the command.
 * @param {Site} site
 * @param {string} lines
 */
async function withWitness(site, lines) {
  const file = path.join(site.dir, "anchor.toml");
  await writeFile(file, `${await readFile(site.file, "utf8")}\n[[ledger.witness]]\n${lines}\n`);
  return file;
}

/**
 * Grows the record and has it anchored; gives how many entries are.
 * @param {Site} site
 * @param {() => ReturnType<typeof nightlatch>} anchor
 * @param {number} entries
 */
async function anchored(site, anchor, entries) {
  const size = await grown(site, entries);
  const { code, stdout, stderr } = await anchor();
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`^anchored: ${size} entries by witness \`${NAME}\` at 20\\d\\d-`));
  return size;
}

/**
 * Starts sessions until there are so many entries, and waits for the checkpoint over them.
 * @param {Site} site
 * @param {number} entries
 */
async function grown(site, entries) {
  const size = async () => Number((await site.api("auditor", "GET /v1/ledger/entries?limit=1")).json().size);
  let now = await size();
  for (; now < entries; now = await size()) await site.start({ subject: `user${now}` });
  await eventually("a checkpoint over all of it", async () => {
    const note = await readFile(path.join(site.data, "ledger/checkpoint"), "utf8").catch(() => "");
    return Number(note.split("\n")[1]) === now;
  });
  return now;
}
