// @ts-check
// curl, as people and scripts use it.
import path from "node:path";
import { folder, run } from "./program.js";

/**
 * One person's curl, with a cookie jar.
 * @param {import("./later.js").Owner} owner
 */
export async function curlWithJar(owner) {
  const dir = await folder(owner);
  const jar = path.join(dir, "cookies");
  return {
    dir,
    /** @param {...string} args */
    curl: (...args) => run("curl", ["--silent", "--show-error", "--no-buffer", "--cookie", jar, "--cookie-jar", jar, ...args]),
  };
}

/**
 * What `--include` prints, in parts.
 * @param {string} output
 */
export function answer(output) {
  const end = output.indexOf("\r\n\r\n");
  const [line, ...fields] = output.slice(0, end).split("\r\n");
  const headers = new Headers(fields.map((field) => /** @type {[string, string]} */ (split(field, ":"))));
  return { version: line.split(" ")[0], status: Number(line.split(" ")[1]), headers, body: output.slice(end + 4) };
}

/** @param {string} text @param {string} at */
function split(text, at) {
  const place = text.indexOf(at);
  return [text.slice(0, place), text.slice(place + 1).trim()];
}
