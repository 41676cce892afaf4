// @ts-check
// Node's own http server.
import http from "node:http";
import { later } from "../support/later.js";

/** @param {import("../support/later.js").Owner} owner */
export async function startNode(owner) {
  /** @type {import("./index.js").Seen[]} */
  const seen = [];
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    seen.push({ method: request.method, target: request.url });
    request.resume().on("end", () => response.end(`${request.method} ${request.url}\n`));
  });
  server.on("clientError", (error, socket) => {
    // Not those that were given up.
    if (/** @type {NodeJS.ErrnoException} */ (error).code?.startsWith("HPE_")) seen.push({ refused: 400 });
    socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { name: "node", url: `http://127.0.0.1:${port}`, seen: async () => [...seen] };
}
