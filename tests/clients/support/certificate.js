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
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const made = await run("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-keyout", key, "-out", cert, ...subject],
  ]).catch(() => null);
  if (made === null) return undefined;
  if (made.code !== 0) throw new Error(made.stderr);
  await chmod(key, 0o600);
  return { cert, key, tls: `{ cert = "${cert}", key = "${key}" }` };
}
