// @ts-check
// What the restore runbook says to do about blocks, done word for word.
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { BINARY, ROOT, folder, nightlatch, run } from "./support/program.js";
import { startSite } from "./support/site.js";

test("blocks that were set and lifted since the backup are put back from the old directory", async (t) => {
  const options = { upstream: "http://127.0.0.1:1", idle: "600s", absolute: "1200s", form: false };
  const site = await startSite(t, options);
  const block = async (/** @type {string} */ subject, /** @type {object} */ body = {}) => {
    const answer = await site.api("operator", `PUT /v1/subjects/${encodeURIComponent(subject)}/block`, body);
    assert.equal(answer.status, 200, answer.text);
  };
  for (const subject of ["ada", "grace", "joan"]) await site.start({ subject });
  await block("grace");
  await block("joan");
  const backup = path.join(await folder(t), "backup");
  assert.equal((await nightlatch("backup", backup, "--data", site.data)).code, 0);
  await block("ada", { cause: 'said "}" and {"what":"subject_unblocked"}' });
  await site.start({ subject: "o'brien; rm -rf" });
  await block("o'brien; rm -rf");
  assert.equal((await site.api("operator", "DELETE /v1/subjects/grace/block")).status, 200);
  await site.server.stop("SIGKILL");
  const restored = await nightlatch("restore", backup, "--data", site.data, "--replace");
  assert.equal(restored.code, 0, restored.stderr);

  const page = await readFile(path.join(ROOT, "docs/runbooks/restore.md"), "utf8");
  const script = /```sh\n(python3 - OLD NEW[^]*?)```/.exec(page)?.[1] ?? "";
  const old = (await readdir(site.dir)).find((name) => name.startsWith("data.replaced-")) ?? "";
  const said = await run("sh", ["-c", script.replace("OLD NEW", '"$1" "$2"'), "sh", path.join(site.dir, old), site.data]);
  assert.equal(said.code, 0, said.stderr);
  const orders = said.stdout.trim().split("\n");
  assert.equal(orders.length, 3, said.stdout);

  const again = await startSite(t, { ...options, dir: site.dir });
  const blocked = async () => {
    const { blocks } = (await again.api("auditor", "GET /v1/blocks?limit=1000")).json();
    return blocks.map((/** @type {{subject: string}} */ { subject }) => subject).sort();
  };
  assert.deepEqual(await blocked(), ["grace", "joan"], "as the backup has it");
  for (const order of orders) {
    const words = order.replace(/^nightlatch/, '"$1"');
    const rest = ["--admin", again.admin, "--key-file", path.join(site.dir, "operator.key")];
    const { code, stderr } = await run("sh", ["-c", `${words} "$2" "$3" "$4" "$5"`, "sh", BINARY, ...rest]);
    assert.equal(code, 0, `${order}: ${stderr}`);
  }
  assert.deepEqual(await blocked(), ["ada", "joan", "o'brien; rm -rf"], "as it was before");
});
