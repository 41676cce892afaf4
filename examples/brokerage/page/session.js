// @ts-check
// Talking to the server, and noticing that one is signed out: the first 401 from anywhere shows one banner and
// stops everything else, once and for good. Whoever signs in next in this browser may be somebody else.
import { el, freeze, get } from "./dom.js";

/** Nobody is signed in any more. */
export class SignedOut extends Error {}

/** The server said no, and why. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {Record<string, unknown>} problem
   */
  constructor(status, problem) {
    const parts = [problem.title, problem.detail].filter((part) => typeof part === "string" && part !== "");
    super(parts.map((part) => sentence(String(part))).join(" ") || `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

const ending = new AbortController();
export const isSignedOut = () => ending.signal.aborted;

/**
 * Called once, when it turns out that nobody is signed in any more.
 * @param {() => void} stop
 */
export function onSignedOut(stop) {
  ending.signal.addEventListener("abort", stop, { once: true });
}

/**
 * Later, if somebody is still signed in by then.
 * @param {number} ms
 * @param {() => void} what
 */
export function later(ms, what) {
  setTimeout(() => {
    if (!isSignedOut()) what();
  }, ms);
}

/**
 * A request to our own server. Throws SignedOut, Refused, or TypeError if there was no answer. What only reads is
 * broken off at the end; of what changes something the answer is worth having.
 * @param {string} url
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(url, options = {}) {
  ending.signal.throwIfAborted();
  const signal = options.method ? null : ending.signal;
  const response = await fetch(url, { cache: "no-store", signal, ...options });
  if (response.ok) return response;
  const problem = await problemOf(await response.text().catch(() => ""));
  if (response.status === 401) {
    signedOut(problem);
    throw new SignedOut();
  }
  throw new Refused(response.status, problem);
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 */
export async function json(url, options) {
  return (await request(url, { headers: { Accept: "application/json" }, ...options })).json();
}

/**
 * @param {string} text
 * @returns {Record<string, unknown>}
 */
export function problemOf(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

/**
 * A stream broke off. Asks whether anybody is still signed in: if not, the banner says so.
 * @returns {Promise<boolean>} whether it is worth trying again
 */
export async function worthTrying() {
  await request("/api/whoami").catch(() => {});
  return !isSignedOut();
}

/** @param {Record<string, unknown>} problem RFC 9457 */
export function signedOut(problem) {
  if (isSignedOut()) return;
  const said = [problem.title, problem.detail]
    .filter((part) => typeof part === "string" && part !== "")
    .map((part) => sentence(String(part)))
    .filter((part) => !/^(you are |you were )?signed out\.$/i.test(part));
  const text = el("p", { id: "banner-text" }, el("strong", {}, "You are signed out."), said.length ? ` ${said.join(" ")}` : "");
  const words = el("div", { class: "words" }, text);
  if (typeof problem.reason === "string") words.append(el("p", { class: "quiet small" }, `Code: ${problem.reason}`));

  const login = samePlace(problem.login_url);
  const again = login
    ? el("a", { class: "button main", id: "sign-in-again", href: login }, "Sign in again")
    : el("button", { class: "button main", id: "sign-in-again", type: "button", click: () => location.reload() }, "Sign in again");
  get("banner").replaceChildren(el("div", { class: "banner" }, words, again));
  document.title = `Signed out - ${document.title}`;

  ending.abort(new SignedOut());
  freeze();
  disable();
}

/** What cannot work any more says so and does nothing. What was typed stays. */
function disable() {
  const main = get("main");
  for (const button of main.querySelectorAll(".button")) {
    button.setAttribute("aria-disabled", "true");
    button.setAttribute("aria-describedby", "banner-text");
    if (!button.hasAttribute("href")) continue;
    button.removeAttribute("href");
    button.setAttribute("role", "link");
    button.setAttribute("tabindex", "0");
  }
  /** @param {Event} event */
  const refuse = (event) => {
    if (event.type === "click" && !(/** @type {Element} */ (event.target).closest(".button"))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  main.addEventListener("click", refuse, true);
  main.addEventListener("submit", refuse, true);
  const leave = document.getElementById("sign-out");
  if (leave) leave.hidden = true;
}

/**
 * The address if it is a path of this very site, else nothing: an answer must not be able to send people elsewhere.
 * @param {unknown} url
 */
function samePlace(url) {
  if (typeof url !== "string" || !/^\/(?![/\\])/.test(url)) return null;
  try {
    const whole = new URL(url, location.origin);
    return whole.origin === location.origin ? whole.pathname + whole.search + whole.hash : null;
  } catch {
    return null;
  }
}

/** @param {string} text */
function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
