// @ts-check
// A certificate for this machine.
import { chmod } from "node:fs/promises";
import path from "node:path";
import { folder, run } from "./program.js";

/**
 * The certificate's and the key's file, and how the configuration names them; none where there is no openssl.
 * @param {import("./later.js").Owner} owner
 */
export async function certificate(owner) {
  const dir = await folder(owner);
  const [cert, key] = [path.join(dir, "cert.pem"), path.join(dir, "key.pem")];
  if (!(await make(cert, key, LOCALHOST))) return undefined;
  await chmod(key, 0o600);
  return { cert, key, tls: `{ cert = "${cert}", key = "${key}" }` };
}

/**
 * The same, issued by an authority of its own; none where there is no openssl.
 * @param {import("./later.js").Owner} owner
 */
export async function issued(owner) {
  const dir = await folder(owner);
  const [ca, caKey, cert, key] = ["ca.pem", "ca.key", "cert.pem", "key.pem"].map((name) => path.join(dir, name));
  if (!(await make(ca, caKey, ["-subj", "/CN=a private authority"]))) return undefined;
  await make(cert, key, [...LOCALHOST, "-addext", "basicConstraints=critical,CA:FALSE", "-CA", ca, "-CAkey", caKey]);
  return { ca, cert, key };
}

const LOCALHOST = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];

/**
 * @param {string} cert
 * @param {string} key
 * @param {string[]} more
 */
async function make(cert, key, more) {
  const made = await run("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-keyout", key, "-out", cert, ...more],
  ]).catch(() => null);
  if (made !== null && made.code !== 0) throw new Error(made.stderr);
  return made !== null;
}
