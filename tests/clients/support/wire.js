// @ts-check
// Bytes out, answers in: a client that sends what it is given, and reads answers strictly.
import net from "node:net";

/** @typedef {{status: number, fields: [string, string][], body: string, whole: boolean}} Read */

/**
 * The answers in these bytes, and whether bytes are left that belong to none.
 * @param {string} bytes one character for each
 * @param {boolean} closed whether no more will come
 * @param {string[]} methods of the requests, in order
 * @returns {{answers: Read[], rest: string}}
 */
export function answersIn(bytes, closed, methods) {
  /** @type {Read[]} */
  const answers = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return { answers, rest };
    const [line, ...lines] = rest.slice(0, end).split("\r\n");
    const first = /^HTTP\/1\.[01] (\d\d\d) /.exec(line);
    if (!first) return { answers, rest };
    const status = Number(first[1]);
    /** @type {[string, string][]} */
    const fields = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    const of = (/** @type {string} */ name) => fields.find(([found]) => found === name)?.[1];
    const after = rest.slice(end + 4);
    if (status < 200) {
      rest = after;
      continue;
    }
    const bodiless = methods[answers.length] === "HEAD" || status === 204 || status === 304;
    const taken = bodiless ? { body: "", rest: after, whole: true } : bodyIn(after, of, closed);
    if (!taken) return { answers, rest };
    answers.push({ status, fields, body: taken.body, whole: taken.whole });
    rest = taken.rest;
  }
}

/**
 * @param {string} bytes
 * @param {(name: string) => string | undefined} of
 * @param {boolean} closed
 */
function bodyIn(bytes, of, closed) {
  const length = of("content-length");
  if (of("transfer-encoding") === "chunked") {
    let [body, rest] = ["", bytes];
    for (;;) {
      const chunk = /^([0-9A-Fa-f]+)\r\n/.exec(rest);
      const size = chunk ? Number.parseInt(chunk[1], 16) : 0;
      const begins = chunk ? chunk[0].length : 0;
      if (!chunk || rest.length < begins + size + 2) return closed ? { body, rest: "", whole: false } : undefined;
      if (size === 0) {
        const end = rest.startsWith("\r\n", begins) ? begins : rest.indexOf("\r\n\r\n", begins) + 2;
        return { body, rest: rest.slice(end + 2), whole: true };
      }
      body += rest.slice(begins, begins + size);
      rest = rest.slice(begins + size + 2);
    }
  }
  if (length === undefined) return closed ? { body: bytes, rest: "", whole: true } : undefined;
  const size = Number(length);
  if (bytes.length < size) return closed ? { body: bytes, rest: "", whole: false } : undefined;
  return { body: bytes.slice(0, size), rest: bytes.slice(size), whole: true };
}

/**
 * Sends bytes and reads until so many answers have come, or the other side has closed.
 * @param {string} url
 * @param {Buffer} bytes
 * @param {{methods: string[], patienceMs?: number}} options
 * @returns {Promise<{answers: Read[], rest: string, closed: boolean}>}
 */
export function exchange(url, bytes, { methods, patienceMs = 5000 }) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    let [received, over] = ["", false];
    const finish = (/** @type {boolean} */ closed) => {
      if (over) return;
      over = true;
      clearTimeout(patience);
      socket.destroy();
      resolve({ ...answersIn(received, closed, methods), closed });
    };
    const patience = setTimeout(() => finish(false), patienceMs);
    socket.on("error", () => finish(true));
    socket.on("close", () => finish(true));
    socket.setEncoding("latin1").on("data", (text) => {
      received += text;
      if (answersIn(received, false, methods).answers.length >= methods.length) finish(false);
    });
    socket.write(bytes);
  });
}
