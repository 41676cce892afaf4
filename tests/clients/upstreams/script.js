// @ts-check
// An application that answers what it is told to, byte for byte.
import net from "node:net";
import { later } from "../support/later.js";
import { requestsIn } from "./wire.js";

/** @param {import("../support/later.js").Owner} owner */
export async function startScript(owner) {
  /** What is answered to `/c`, and whether the connection closes then. */
  const script = { answer: Buffer.from(""), closes: false };
  const server = net.createServer((socket) => {
    let [bytes, answered] = ["", 0];
    socket.on("error", () => {});
    socket.setEncoding("latin1").on("data", (text) => {
      // Whoever answered in HTTP/1.0 is asked in it.
      bytes += text.replaceAll(" HTTP/1.0\r\n", " HTTP/1.1\r\n");
      const requests = requestsIn(bytes);
      for (const { method, target } of requests.slice(answered)) {
        if (target === "/c") {
          socket.write(script.answer);
          if (script.closes) socket.end();
        } else {
          const body = `${method} ${target}\n`;
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
        }
      }
      answered = requests.length;
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => server.close());
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, script };
}
