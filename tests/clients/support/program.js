// @ts-check
// The program itself: one command run to its end, or a server started and stopped.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { later } from "./later.js";
import { eventually } from "./wait.js";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const BINARY = path.resolve(ROOT, process.env.NIGHTLATCH_BIN ?? "target/debug/nightlatch");
export const DESK = path.join(ROOT, "examples/brokerage");

/**
 * A folder that is gone after the test. A data directory is large, so none is left lying about.
 * @param {import("./later.js").Owner} owner
 */
export async function folder(owner) {
  const dir = await mkdtemp(path.join(tmpdir(), "nightlatch-clients-"));
  later(owner, () => rm(dir, { recursive: true, force: true }));
  return dir;
}

/**
 * Any command, run to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {{input?: string | Buffer, env?: Record<string, string>, onOutput?: (text: string) => void}} [options]
 * @returns {Promise<{code: number | null, stdout: string, stderr: string, at: number}>}
 */
export function run(command, args, { input, env, onOutput } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "pipe", env: { ...process.env, ...env } });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
      onOutput?.(text);
    });
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr, at: Date.now() }));
  });
}

/**
 * A command of the program, run to its end.
 * @param {...string} args
 */
export const nightlatch = (...args) => run(BINARY, args);

/**
 * A server: a child that says on one of its outputs that it is ready, and stops when told to.
 */
export class Server {
  stdout = "";
  stderr = "";
  /** @type {number | NodeJS.Signals | null} */
  ended = null;

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {{cwd?: string, env?: Record<string, string>}} [options]
   */
  constructor(command, args, { cwd, env } = {}) {
    this.command = command;
    this.child = spawn(command, args, { stdio: "pipe", cwd, env: { ...process.env, ...env } });
    this.child.stdin.on("error", () => {});
    this.child.stdout.setEncoding("utf8").on("data", (text) => (this.stdout += text));
    this.child.stderr.setEncoding("utf8").on("data", (text) => (this.stderr += text));
    /** @type {Promise<void>} */
    this.gone = new Promise((resolve) => {
      this.child.on("error", (error) => {
        this.stderr += `${error}\n`;
        this.ended ??= -1;
        resolve();
      });
      this.child.on("close", (code, signal) => {
        this.ended ??= code ?? signal;
        resolve();
      });
    });
  }

  /**
   * @template T
   * @param {() => T | undefined | null | false} look
   * @returns {Promise<T>}
   */
  async ready(look) {
    return eventually(`${path.basename(this.command)} being ready`, () => {
      const found = look();
      if (!found && this.ended !== null) {
        throw new Error(`${this.command} ended with ${this.ended}:\n${this.stdout}${this.stderr}`);
      }
      return found;
    });
  }

  /** @param {NodeJS.Signals} [signal] */
  async stop(signal = "SIGTERM") {
    if (this.ended === null) this.child.kill(signal);
    await this.gone;
  }
}

/**
 * @param {string[]} args
 * @param {{cwd?: string, env?: Record<string, string>, under?: string[]}} [options] `under`: a command that is given the program's line
 */
export function startProgram(args, { under = [], ...options } = {}) {
  const [command, ...line] = [...under, BINARY, ...args];
  return new Server(command, line, options);
}
