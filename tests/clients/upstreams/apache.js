// @ts-check
// Apache httpd with a CGI program, which gets every field as a variable and the body as its input.
import { chmod, copyFile, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { bytes } from "../support/corpus.js";
import { later } from "../support/later.js";
import { SBIN, freePort, listening } from "../support/ports.js";
import { ROOT, Server, folder } from "../support/program.js";

const MODULES = "/usr/lib/apache2/modules";
const LOADED = ["mpm_event", "authz_core", "alias", "cgid", "env"];

/** @param {import("../support/later.js").Owner} owner */
export async function startApache(owner) {
  const dir = await folder(owner);
  const port = await freePort();
  const log = path.join(dir, "access.log");
  // Its own user must be able to run the program, wherever the checkout is.
  const program = path.join(dir, "echo.cgi");
  await copyFile(path.join(ROOT, "tests/clients/upstreams/echo.cgi"), program);
  await Promise.all([chmod(dir, 0o755), chmod(program, 0o755)]);
  const config = `
${LOADED.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join("\n")}
ServerName localhost
ServerRoot ${dir}
DefaultRuntimeDir ${dir}
PidFile ${dir}/pid
ScriptSock ${dir}/cgid.sock
Listen 127.0.0.1:${port}
${process.getuid?.() === 0 ? "User www-data\nGroup www-data" : ""}
StartServers 1
ServerLimit 2
ThreadsPerChild 16
MaxRequestWorkers 32
KeepAliveTimeout 60
MaxKeepAliveRequests 0
ErrorLog ${dir}/error.log
LogFormat "%>s %r" seen
CustomLog ${log} seen
ScriptAliasMatch "^/" ${program}
<Location "/">
  Require all granted
  Options +ExecCGI
</Location>`;
  await writeFile(path.join(dir, "httpd.conf"), config);
  const server = new Server("apache2", ["-X", "-f", path.join(dir, "httpd.conf")], SBIN);
  later(owner, () => server.stop());
  await listening(server, port);
  return {
    name: "apache",
    url: `http://127.0.0.1:${port}`,
    /** @returns {Promise<import("./index.js").Seen[]>} */
    seen: async () => {
      const lines = (await readFile(log, "utf8")).split("\n").slice(0, -1);
      // Its log escapes what is not printable.
      const plain = (/** @type {string} */ text) => bytes(text, {}).toString("latin1");
      return lines
        .map((line) => line.split(" ").map(plain))
        .map(([status, method, target]) => (status === "200" ? { method, target } : { refused: Number(status) }));
    },
  };
}
