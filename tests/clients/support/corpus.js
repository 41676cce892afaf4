// @ts-check
// Reads the tables in `corpus/`: bytes as they are sent, and what is to come of them. The format is in corpus/README.md.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./program.js";

const FOLDER = path.join(ROOT, "tests/clients/corpus");

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {string} text what is sent, escapes and `$NAMES` still in it
 * @property {string} verdict the line after `=>`
 * @property {string[]} more the lines after that one
 */

/**
 * The rows of every file of a folder of the corpus.
 * @param {string} folder
 * @returns {Row[]}
 */
export function corpus(folder) {
  const dir = path.join(FOLDER, folder);
  const files = readdirSync(dir).filter((file) => file.endsWith(".txt"));
  return files.sort().flatMap((file) => rows(readFileSync(path.join(dir, file), "utf8"), path.basename(file, ".txt")));
}

/**
 * @param {string} text
 * @param {string} file
 * @returns {Row[]}
 */
function rows(text, file) {
  const [, ...parts] = text.split(/^## /m);
  return parts.map((part) => {
    const [name, ...lines] = part.trimEnd().split("\n");
    const arrow = lines.findIndex((line) => line.startsWith("=> "));
    if (arrow < 0) throw new Error(`${file}: ${name}: no verdict`);
    const sent = lines.slice(0, arrow).map((line) => (line.endsWith("\\") ? line.slice(0, -1) : `${line}\\r\\n`));
    return {
      name: `${file}: ${name}`,
      text: sent.join(""),
      verdict: lines[arrow].slice(3),
      more: lines.slice(arrow + 1).filter(Boolean).map((line) => line.trim()),
    };
  });
}

/** @type {Record<string, string>} */
const ESCAPES = { r: "\r", n: "\n", t: "\t", 0: "\0", "\\": "\\" };

/**
 * The bytes of a text: names filled in, escapes taken off, one character for each byte.
 * @param {string} text
 * @param {Record<string, string>} names
 * @returns {Buffer}
 */
export function bytes(text, names) {
  const filled = text.replace(/\$([A-Z]+)(\*\d+)?/g, (whole, name, times) =>
    name in names ? names[name].repeat(times ? Number(times.slice(1)) : 1) : whole,
  );
  const raw = filled.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex, letter) =>
    hex ? String.fromCharCode(Number.parseInt(hex, 16)) : (ESCAPES[letter] ?? letter),
  );
  return Buffer.from(raw, "latin1");
}
