// @ts-check
// nginx. It answers without reading a body, which it throws away; its log tells what it saw.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { later } from "../support/later.js";
import { Server, folder } from "../support/program.js";
import { SBIN, freePort, listening } from "../support/ports.js";

/** @param {import("../support/later.js").Owner} owner */
export async function startNginx(owner) {
  const dir = await folder(owner);
  const port = await freePort();
  const log = path.join(dir, "access.log");
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const config = `
daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 64; }
http {
  ${paths.map((name) => `${name}_temp_path ${dir}/${name};`).join(" ")}
  log_format seen escape=json '{"status":$status,"method":"$request_method","target":"$request_uri","length":"$content_length"}';
  access_log ${log} seen;
  server { listen 127.0.0.1:${port}; location / { return 200 "$request_method $request_uri\\n"; } }
}`;
  await writeFile(path.join(dir, "nginx.conf"), config);
  const server = new Server("nginx", ["-e", `${dir}/error.log`, "-c", path.join(dir, "nginx.conf")], SBIN);
  later(owner, () => server.stop());
  await listening(server, port);
  return {
    name: "nginx",
    url: `http://127.0.0.1:${port}`,
    /** @returns {Promise<import("./index.js").Seen[]>} */
    seen: async () => {
      const lines = (await readFile(log, "latin1")).split("\n").slice(0, -1);
      return lines
        .map((line) => JSON.parse(line))
        .map(({ status, method, target }) => (status === 200 ? { method, target } : { refused: status }));
    },
  };
}
