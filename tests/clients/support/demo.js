// @ts-check
// `nightlatch demo` on free ports, with limits short enough for a test.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { later } from "./later.js";
import { DESK, folder, startProgram } from "./program.js";

/**
 * @param {import("./later.js").Owner} owner
 * @param {{data?: string, idle?: string, absolute?: string, warning?: string, listen?: string, admin?: string}} [options]
 */
export async function startDemo(owner, options = {}) {
  const { idle = "4s", warning = "1s", absolute = "60s" } = options;
  const { listen = "127.0.0.1:0", admin = "127.0.0.1:0" } = options;
  const data = options.data ?? path.join(await folder(owner), "data");
  const server = startProgram([
    "demo",
    ...["--listen", listen, "--admin", admin, "--app", DESK, "--data", data],
    ...["--idle", idle, "--warning", warning, "--absolute", absolute],
  ]);
  later(owner, () => server.stop());
  const [url, api] = await server.ready(() => {
    const found = server.stdout.match(/http:\/\/127\.0\.0\.1:\d+/g);
    return found && found.length > 1 && server.stdout.includes("Ctrl-C") && found;
  });
  return {
    url,
    admin: api,
    data,
    server,
    operatorKey: await readFile(path.join(data, "operator-key"), "utf8"),
  };
}
