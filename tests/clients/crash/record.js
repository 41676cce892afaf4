// @ts-check
// The record as an outsider reads it: from an export in the tlog-tiles layout, with nothing of ours but the folder.
import { readFile } from "node:fs/promises";
import path from "node:path";

/**
 * Every entry of an export, in order.
 * @param {string} folder
 * @returns {Promise<Record<string, any>[]>}
 */
export async function entriesOf(folder) {
  const [, size] = (await readFile(path.join(folder, "checkpoint"), "utf8")).split("\n");
  /** @type {Record<string, any>[]} */
  const entries = [];
  for (let tile = 0; tile * 256 < Number(size); tile += 1) {
    const width = Math.min(256, Number(size) - tile * 256);
    const bytes = await readFile(path.join(folder, "tile/entries", tilePath(tile) + (width < 256 ? `.p/${width}` : "")));
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUInt16BE(at);
      entries.push(JSON.parse(bytes.toString("utf8", at + 2, at + 2 + length)));
      at += 2 + length;
    }
  }
  if (entries.length !== Number(size)) throw new Error(`${entries.length} entries, and the checkpoint says ${size}`);
  return entries;
}

/** Three digits a folder, all but the last with an `x` (C2SP tlog-tiles). @param {number} number */
function tilePath(number) {
  let parts = [String(number % 1000).padStart(3, "0")];
  for (let rest = Math.floor(number / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    parts = [`x${String(rest % 1000).padStart(3, "0")}`, ...parts];
  }
  return parts.join("/");
}

/**
 * What the entries say of each session.
 * @param {Record<string, any>[]} entries
 * @returns {import("./checker.js").Record}
 */
export function bySession(entries) {
  /** @type {import("./checker.js").Record} */
  const record = new Map();
  for (const entry of entries) {
    if (entry.what !== "session_started" && entry.what !== "session_ended") continue;
    const known = record.get(entry.session) ?? { starts: 0, ends: [] };
    record.set(entry.session, known);
    if (entry.what === "session_started") known.starts += 1;
    else known.ends.push(/** @type {import("./checker.js").End} */ (entry));
  }
  return record;
}
