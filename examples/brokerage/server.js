#!/usr/bin/env node
// @ts-check
// The command line: reads the settings, starts the desk, says where it listens, and stops when told to.
import { parseArgs } from "node:util";
import { createDesk } from "./desk.js";
import { createLog } from "./log.js";
import { ROLES } from "./who.js";

const USAGE = `usage: node server.js [options]
  --port PORT               127.0.0.1 only; 0 takes any free port (default 0)
  --user-header NAME        the request header that names the user; without it every request is refused
  --user NAME=ROLE          one more user (${ROLES.join(", ")}); may be repeated
  --sign-out-url PATH       where the page's "Sign out" form is posted; without it there is none
  --reveal-headers          /api/whoami tells every request header it received
  --news-every-ms MS        time between headlines (default 2000)
  --seed NUMBER             of the random walk of prices
  --exit-with-parent        exit when standard input closes
`;

/** @param {string} message @returns {never} */
function wrongUsage(message) {
  process.stderr.write(`${message}\n\n${USAGE}`);
  process.exit(2);
}

function settings() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        port: { type: "string", default: "0" },
        "user-header": { type: "string" },
        user: { type: "string", multiple: true, default: [] },
        "sign-out-url": { type: "string" },
        "reveal-headers": { type: "boolean", default: false },
        "news-every-ms": { type: "string", default: "2000" },
        seed: { type: "string", default: "20260105" },
        "exit-with-parent": { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    return wrongUsage(error instanceof Error ? error.message : String(error));
  }
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }

  /** @param {string} name @param {unknown} text @param {number} min @param {number} max */
  const number = (name, text, min, max) => {
    const value = /^\d{1,10}$/.test(String(text)) ? Number(text) : -1;
    if (value < min || value > max) wrongUsage(`--${name} is a whole number from ${min} to ${max}.`);
    return value;
  };
  const userHeader = values["user-header"];
  if (userHeader !== undefined && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(userHeader)) {
    wrongUsage("--user-header is the name of a header.");
  }
  const signOutUrl = values["sign-out-url"];
  if (signOutUrl !== undefined && !/^\/(?![/\\])[\x21-\x7e]*$/.test(signOutUrl)) {
    wrongUsage("--sign-out-url is a path of this site, beginning with one slash.");
  }
  const users = (values.user ?? []).map((text) => {
    const at = text.lastIndexOf("=");
    const role = ROLES.find((known) => known === text.slice(at + 1));
    if (at < 1 || !role) return wrongUsage(`--user is NAME=ROLE, with a role out of: ${ROLES.join(", ")}.`);
    return { id: text.slice(0, at), role };
  });
  return {
    port: number("port", values.port, 0, 65535),
    exitWithParent: values["exit-with-parent"],
    desk: {
      userHeader,
      users,
      signOutUrl,
      revealHeaders: values["reveal-headers"],
      newsEveryMs: number("news-every-ms", values["news-every-ms"], 10, 3_600_000),
      seed: number("seed", values.seed, 0, 4_294_967_295),
    },
  };
}

const { port, exitWithParent, desk: chosen } = settings();
const log = createLog((line) => process.stderr.write(line));
// Whoever started the desk may be gone, and the pipes with them: that alone is no reason to fall over.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

const desk = createDesk({ ...chosen, log });
let stopping = false;
/** @param {string} why */
async function stop(why) {
  if (stopping) return;
  stopping = true;
  log({ event: "stopping", why });
  await desk.close();
  process.exit(0);
}
process.on("SIGTERM", () => void stop("SIGTERM"));
process.on("SIGINT", () => void stop("SIGINT"));
if (exitWithParent) {
  process.stdin.on("error", () => void stop("standard input closed"));
  process.stdin.on("close", () => void stop("standard input closed"));
  process.stdin.on("end", () => void stop("standard input closed"));
  process.stdin.resume();
}

try {
  const listening = await desk.listen(port);
  process.stdout.write(JSON.stringify({ listening }) + "\n");
} catch (error) {
  process.stderr.write(`Cannot listen on 127.0.0.1:${port}: ${error instanceof Error ? error.message : error}\n`);
  process.exit(3);
}
