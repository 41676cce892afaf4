// @ts-check
// A witness that is not ours: `litewitness` of torchwood, with a key in an agent of its own and a database that names the logs it knows.
import { createHash, generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { issued } from "./certificate.js";
import { later } from "./later.js";
import { ROOT, Server, folder, run } from "./program.js";
import { freePort } from "./ports.js";

/** xtask puts it there. */
const LITEWITNESS = path.join(ROOT, "target/tools/litewitness");
export const MISSING = !existsSync(LITEWITNESS) && "needs Go, to build litewitness: cargo xtask test";
export const NAME = "witness.example/litewitness";

/** What its own tool for this would do, which cannot be built from the module alone. */
const KNOW = `
import base64, hashlib, sqlite3, sys
database, origin, key = sys.argv[1:]
with sqlite3.connect(database, timeout=20) as db:
    empty = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    db.execute("INSERT INTO log VALUES (?, 0, ?) ON CONFLICT DO NOTHING", (origin, empty))
    db.execute("DELETE FROM key WHERE origin = ?", (origin,))
    db.execute("INSERT INTO key VALUES (?, ?)", (origin, key))
`;

/**
 * A witness that knows no log yet.
 * @param {import("./later.js").Owner} owner
 */
export async function startWitness(owner) {
  const dir = await folder(owner);
  const [secret, socket, database] = ["key", "agent", "db"].map((name) => path.join(dir, name));
  await done("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", secret]);
  const agent = new Server("ssh-agent", ["-D", "-a", socket]);
  later(owner, () => agent.stop());
  await agent.ready(() => existsSync(socket));
  await done("ssh-add", ["-q", secret], { SSH_AUTH_SOCK: socket });
  const fingerprint = (await done("ssh-keygen", ["-l", "-E", "sha256", "-f", secret])).split(" ")[1];

  const port = await freePort();
  const where = ["-listen", `127.0.0.1:${port}`, "-db", database, "-ssh-agent", socket];
  const server = new Server(LITEWITNESS, ["-name", NAME, "-key", fingerprint, ...where]);
  later(owner, () => server.stop());
  const key = await server.ready(() => /vkey=(\S+)/.exec(server.stderr)?.[1]);
  await server.ready(() => server.stderr.includes("listening"));
  return {
    /** Its public key. */
    key,
    url: `http://127.0.0.1:${port}`,
    /**
     * Whose checkpoints it cosigns from now on.
     * @param {string} log the log's public key
     */
    knows: (log) => done("python3", ["-c", KNOW, database, log.split("+")[0], log]),
  };
}

/**
 * The public key of another log of this name (https://c2sp.org/signed-note).
 * @param {string} name
 */
export function keyOfAnother(name) {
  const { x } = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
  const key = Buffer.concat([Buffer.from([1]), Buffer.from(x ?? "", "base64url")]);
  const id = createHash("sha256").update(`${name}\n`).update(key).digest("hex").slice(0, 8);
  return `${name}+${id}+${key.toString("base64")}`;
}

/**
 * TLS in front of it, by a certificate that a private authority vouches for.
 * @param {import("./later.js").Owner} owner
 * @param {string} url
 */
export async function startTls(owner, url) {
  const files = await issued(owner);
  if (!files) throw new Error("needs openssl");
  const [cert, key] = await Promise.all([readFile(files.cert), readFile(files.key)]);
  const server = https.createServer({ cert, key }, (request, answer) => {
    const { method, headers } = request;
    const onward = http.request(url + request.url, { method, headers, agent: false }, (back) => {
      answer.writeHead(back.statusCode ?? 502, back.headers);
      back.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  later(owner, () => server.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `https://localhost:${port}`, ca: files.ca };
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
async function done(command, args, env) {
  const { code, stdout, stderr } = await run(command, args, { env });
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}`);
  return stdout;
}
