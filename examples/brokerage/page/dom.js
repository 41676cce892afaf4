// @ts-check
// Making and changing elements, and how numbers and times are written.

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function get(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

/**
 * @param {string} tag
 * @param {Record<string, string | undefined | ((event: Event) => void)>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** @type {Map<string, string>} when each panel was last up to date */
const fresh = new Map();
/** @type {Map<string, string>} the state of each panel that has said anything */
const states = new Map();
let frozen = false;

/**
 * What a panel says about itself.
 * @param {string} panel
 * @param {"live" | "waiting" | "soon" | "stopped"} state
 * @param {string} text
 * @param {string} [code] for support, small beneath the words
 */
export function say(panel, state, text, code = "") {
  if (frozen && state !== "stopped") return;
  if (state === "live") fresh.set(panel, now());
  states.set(panel, state);
  const line = get(`${panel}-state`);
  // Read out when something stops, not at every tick of a counter.
  line.setAttribute("aria-live", state === "stopped" ? "polite" : "off");
  line.dataset.state = state;
  const whole = code ? `${text} Code: ${code}` : text;
  if (line.textContent !== whole) {
    line.replaceChildren(text, ...(code ? [" ", el("span", { class: "code" }, `Code: ${code}`)] : []));
  }
  get(panel).classList.toggle("stale", state === "stopped");
}

/**
 * What a panel shows is not kept up to date.
 * @param {string} panel
 */
export function stale(panel) {
  const since = fresh.get(panel);
  say(panel, "stopped", since ? `Not updated since ${since}` : "Not loaded");
}

/** From here on nothing is live: what has not said that it stopped is stale, and an answer that comes late changes nothing. */
export function freeze() {
  frozen = true;
  for (const [panel, state] of states) if (state !== "stopped") stale(panel);
}

/**
 * What came of something the user did.
 * @param {string} id
 * @param {"done" | "failed" | "waiting"} result
 * @param {string} text
 */
export function tell(id, result, text) {
  const line = get(id);
  line.dataset.result = result;
  line.textContent = text;
}

/**
 * One button in the place of another; the focus stays where it was.
 * @param {HTMLElement} old
 * @param {HTMLElement} next
 */
export function swap(old, next) {
  const focused = document.activeElement === old;
  next.hidden = false;
  old.hidden = true;
  if (focused) next.focus();
}

const prices = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const signed = new Intl.NumberFormat(undefined, {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  signDisplay: "exceptZero",
});
const counts = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param {number} value */
export const price = (value) => prices.format(value);
/** @param {number} value */
export const change = (value) => signed.format(value).replace("-", "\u2212");
/** @param {number} value */
export const count = (value) => counts.format(value);
export const now = () => clock.format(new Date());

/**
 * A time of day in the viewer's zone; the same instant in UTC on hover or focus.
 * @param {string} iso
 */
export function time(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const utc = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  return el("time", { datetime: iso, "data-utc": utc, tabindex: "0" }, (today ? clock : full).format(at));
}
