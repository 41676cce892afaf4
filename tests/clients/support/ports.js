// @ts-check
// Servers that are Debian's own, and ports for them, since they cannot choose one themselves.
import net from "node:net";
import { eventually } from "./wait.js";

/** Where Debian keeps servers, which is not on everybody's path. */
export const SBIN = { env: { PATH: `${process.env.PATH}:/usr/sbin` } };

/** @returns {Promise<number>} a port that was free a moment ago */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {net.AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/**
 * Waits until a program listens on a port.
 * @param {import("./program.js").Server} server
 * @param {number} port
 */
export async function listening(server, port) {
  await eventually(`${server.command} listening`, async () => {
    if (server.ended !== null) throw new Error(`${server.command} ended with ${server.ended}: ${server.stdout}${server.stderr}`);
    return new Promise((resolve) => {
      const socket = net.connect(port, "127.0.0.1");
      socket.on("connect", () => resolve(socket.destroy()));
      socket.on("error", () => resolve(false));
    });
  });
}
