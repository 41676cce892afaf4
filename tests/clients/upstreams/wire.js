// @ts-check
// A socket that keeps every byte, and a reader without mercy: what it does not understand to the letter is not HTTP.
import net from "node:net";
import { later } from "../support/later.js";

const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)$/;

/**
 * The requests in these bytes, strictly by RFC 9112; throws at the first that is anything else. What is not whole yet is
 * left out.
 * @param {string} bytes one character for each
 * @returns {{method: string, target: string, fields: string[], body: string}[]}
 */
export function requestsIn(bytes) {
  const requests = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return requests;
    const [line, ...lines] = rest.slice(0, end).split("\r\n");
    const first = /^([A-Za-z!#$%&'*+.^_`|~0-9-]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.1$/.exec(line);
    if (!first) throw new Error(`not a request line: ${JSON.stringify(line)}`);
    const fields = lines.map((line) => {
      const field = FIELD.exec(line);
      if (!field) throw new Error(`not a field: ${JSON.stringify(line)}`);
      return [field[1].toLowerCase(), field[2]];
    });
    const of = (/** @type {string} */ name) => fields.filter(([found]) => found === name).map(([, value]) => value);
    if (of("host").length !== 1) throw new Error("not exactly one host");
    const [lengths, codings] = [of("content-length"), of("transfer-encoding")];
    if (lengths.length + codings.length > 1) throw new Error("two framings");
    rest = rest.slice(end + 4);
    let body = "";
    if (codings.length > 0) {
      if (codings[0] !== "chunked") throw new Error(`transfer coding ${codings[0]}`);
      for (;;) {
        const chunk = /^([0-9A-Fa-f]+)\r\n/.exec(rest);
        if (!chunk) return requests;
        const size = Number.parseInt(chunk[1], 16);
        rest = rest.slice(chunk[0].length);
        if (size === 0) break;
        if (rest.length < size + 2) return requests;
        if (rest.slice(size, size + 2) !== "\r\n") throw new Error("a chunk that does not end");
        body += rest.slice(0, size);
        rest = rest.slice(size + 2);
      }
      // Trailers, if any, up to the empty line.
      const after = rest.startsWith("\r\n") ? 0 : rest.indexOf("\r\n\r\n") + 2;
      if (after === 1) return requests;
      for (const trailer of rest.slice(0, after).split("\r\n").filter(Boolean)) {
        const field = FIELD.exec(trailer);
        if (!field) throw new Error(`not a trailer: ${JSON.stringify(trailer)}`);
        fields.push([`trailer ${field[1]}`, field[2]]);
      }
      rest = rest.slice(after + 2);
    } else if (lengths.length > 0) {
      if (!/^\d+$/.test(lengths[0])) throw new Error(`length ${lengths[0]}`);
      const size = Number(lengths[0]);
      if (rest.length < size) return requests;
      body = rest.slice(0, size);
      rest = rest.slice(size);
    }
    requests.push({
      method: first[1],
      target: first[2],
      fields: fields.map(([name, value]) => `${name}: ${value}`),
      body,
    });
  }
}

/** @param {import("../support/later.js").Owner} owner */
export async function startWire(owner) {
  /** @type {{bytes: string}[]} */
  const connections = [];
  const server = net.createServer((socket) => {
    const connection = { bytes: "" };
    connections.push(connection);
    let answered = 0;
    socket.on("error", () => {});
    socket.setEncoding("latin1").on("data", (bytes) => {
      connection.bytes += bytes;
      const requests = requestsIn(connection.bytes);
      for (const request of requests.slice(answered)) {
        const text = `${request.method} ${request.target}\n`;
        const body = request.method === "HEAD" ? "" : text;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${body}`);
      }
      answered = requests.length;
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => server.close());
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  const requests = () => connections.flatMap(({ bytes }) => requestsIn(bytes));
  return {
    name: "wire",
    url: `http://127.0.0.1:${port}`,
    /** @returns {Promise<import("./index.js").Seen[]>} */
    seen: async () => requests().map(({ method, target }) => ({ method, target })),
    requests,
  };
}
