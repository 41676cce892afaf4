// @ts-check
// Python's http.server, with handlers as people write them: none looks for the body of a GET.
import path from "node:path";
import { later } from "../support/later.js";
import { ROOT, Server } from "../support/program.js";

/** @param {import("../support/later.js").Owner} owner */
export async function startPython(owner) {
  const server = new Server("python3", [path.join(ROOT, "tests/clients/upstreams/echo.py")]);
  later(owner, () => server.stop());
  const said = await server.ready(() => server.stdout.includes("\n") && server.stdout);
  return {
    name: "python",
    url: `http://127.0.0.1:${JSON.parse(said).listening}`,
    /** @returns {Promise<import("./index.js").Seen[]>} */
    seen: async () =>
      server.stdout
        .split("\n")
        .slice(1, -1)
        .map((line) => JSON.parse(line)),
  };
}
