// @ts-check
// `nightlatch serve` in front of the demo brokerage, which is a program of its own here, so that its log can be read.
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { ask } from "./http.js";
import { later } from "./later.js";
import { DESK, Server, folder, startProgram } from "./program.js";
import { eventually } from "./wait.js";

const ROLES = /** @type {const} */ (["issuer", "checker", "operator", "auditor"]);
/** @typedef {typeof ROLES[number]} Role */

/**
 * The demo brokerage alone.
 * @param {import("./later.js").Owner} owner
 */
export async function startDesk(owner) {
  const args = ["server.js", "--user-header", "X-Nightlatch-Subject", "--sign-out-url", "/_nightlatch/logout"];
  const server = new Server(process.execPath, [...args, "--exit-with-parent"], { cwd: DESK });
  later(owner, () => server.stop());
  const said = await server.ready(() => server.stdout.includes("\n") && server.stdout);
  /** @returns {Record<string, any>[]} */
  const log = () =>
    server.stderr
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  return {
    url: /** @type {string} */ (JSON.parse(said).listening),
    log,
    /**
     * Waits for what the desk logs.
     * @param {string} event
     * @param {(entry: Record<string, any>) => boolean} [which]
     */
    logged: (event, which = () => true) =>
      eventually(`${event} in the desk's log`, () => log().find((entry) => entry.event === event && which(entry))),
  };
}

/**
 * The gateway in front of something.
 * @param {import("./later.js").Owner} owner
 * @param {object} options
 * @param {string} options.upstream
 * @param {string} [options.dir] the folder of the configuration; that of an earlier run to go on with its data
 * @param {string} [options.idle]
 * @param {string} [options.absolute]
 * @param {string} [options.app] more lines of the app's table
 * @param {{name: string, host: string, upstream: string, app?: string}[]} [options.apps] several apps, each for a host of its own
 * @param {string} [options.tls]
 * @param {string} [options.listen] more lines of `[listen]`
 * @param {string} [options.limits] lines of `[limits]`
 * @param {string} [options.ledger] lines of `[ledger]`
 * @param {string} [options.gateway] where the gateway listens
 * @param {(args: string[]) => Server} [options.start] starts the program
 * @param {string} [options.identity] tables of `identity`
 * @param {boolean} [options.form] whether there is the sign-in form of the demo
 * @param {Record<string, string>} [options.env] of the program
 * @param {string[]} [options.under] a command that is given the program's line
 * @param {(server: Server) => void} [options.spawned] told of the process, before it serves
 */
export async function startSite(owner, options) {
  const { gateway = "127.0.0.1:0", listen = "", start = (args) => startProgram(args, { env: options.env, under: options.under }) } = options;
  const { upstream, idle = "3s", absolute = "60s", app = "", tls, form = true } = options;
  const apps = options.apps ?? [{ name: "app", host: "*", upstream, app }];
  const dir = options.dir ?? (await folder(owner));
  await mkdir(dir, { recursive: true });
  /** @type {Record<Role, string>} */
  const keys = { issuer: "", checker: "", operator: "", auditor: "" };
  for (const role of ROLES) {
    keys[role] = `${role}-0123456789abcdef0123456789abcdef`;
    await writeFile(path.join(dir, `${role}.key`), keys[role], { mode: 0o600 });
  }
  const users = ["trader", "trader2", "supervisor", "administrator"];
  const config = `
version = 1
[listen]
gateway = "${gateway}"
admin   = "127.0.0.1:0"
${listen}
${tls ? `tls = ${tls}` : ""}
[data]
dir = "data"
${options.limits ? `[limits]\n${options.limits}` : ""}
${options.ledger ? `[ledger]\n${options.ledger}` : ""}
[policy]
idle     = "${idle}"
absolute = "${absolute}"
warning  = "1s"
${apps.map(appTable).join("\n")}
${form ? users.map((user) => `[[identity.demo.users]]\nname = "${user}"\ngroups = ["${user}s"]`).join("\n") : ""}
${options.identity ?? ""}
${ROLES.map((role) => `[[api_key]]\nname = "${role}"\nrole = "${role}"\nkey_file = "${role}.key"`).join("\n")}
`;
  const file = path.join(dir, "nightlatch.toml");
  await writeFile(file, config);
  const server = start(["serve", "--config", file]);
  options.spawned?.(server);
  later(owner, () => server.stop());
  const serving = await server.ready(() =>
    server.stderr
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line))
      .find((line) => line.message === "serving"),
  );
  const admin = `http://${serving.admin}`;

  /**
   * Asks the API.
   * @param {Role} role
   * @param {string} route method and path
   * @param {unknown} [body]
   */
  async function api(role, route, body) {
    const [method, where] = route.split(" ");
    return ask(admin + where, {
      method,
      headers: {
        Authorization: `Bearer ${keys[role]}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  /**
   * What is on the record about a session.
   * @param {string} session
   * @returns {Promise<Record<string, any>[]>}
   */
  async function record(session) {
    const page = await api("auditor", `GET /v1/ledger/entries?limit=1000&session=${session}`);
    if (page.status !== 200) throw new Error(`${page.status} ${page.text}`);
    return page.json().entries.map((/** @type {{entry: object}} */ { entry }) => entry);
  }

  return {
    url: `${tls ? "https" : "http"}://${serving.gateway}`,
    admin,
    dir,
    file,
    data: path.join(dir, "data"),
    keys,
    server,
    api,
    record,
    /**
     * Waits for an entry about a session.
     * @param {string} session
     * @param {string} what
     * @param {(entry: Record<string, any>) => boolean} [which]
     */
    recorded: (session, what, which = () => true) =>
      eventually(`${what} on the record`, async () =>
        (await record(session)).find((entry) => entry.what === what && which(entry)),
      ),
    /**
     * The public name of the session that a credential opens. Extends nothing.
     * @param {string} token
     * @returns {Promise<string>}
     */
    sessionOf: async (token) =>
      (await api("checker", "POST /v1/check", { token, passive: true })).json().session,
    /**
     * Starts a session as the firm's own program would.
     * @param {Record<string, unknown>} fields
     * @returns {Promise<{id: string, token: string}>}
     */
    async start(fields) {
      const answer = await api("issuer", "POST /v1/sessions", fields);
      if (answer.status !== 201) throw new Error(`${answer.status} ${answer.text}`);
      return answer.json();
    },
  };
}

/** @param {{name: string, host: string, upstream: string, app?: string}} app */
const appTable = ({ name, host, upstream, app = "" }) => `[[app]]
name     = "${name}"
match    = { host = "${host}", path = "/" }
upstream = "${upstream}"
${app}`;

/** What the demo's configuration says of the brokerage. */
export const DESK_APP = `
public      = ["GET /healthz", "GET /assets/**"]
passive     = ["GET /api/notifications", "GET /api/news", "GET /reports/**", "WS /ws/quotes"]
app_cookies = ["desk_session"]
`;

/**
 * The gateway in front of the demo brokerage.
 * @param {import("./later.js").Owner} owner
 * @param {Partial<Parameters<typeof startSite>[1]>} [options]
 */
export async function startDeskSite(owner, options = {}) {
  const desk = await startDesk(owner);
  const site = await startSite(owner, { upstream: desk.url, app: DESK_APP, ...options });
  return { ...site, desk };
}
