// @ts-check
// The instruments and their prices: a random walk from a seed, in whole cents, four steps a second.

/** @typedef {{symbol: string, name: string, open: number, last: number, settle_ms: number}} Instrument */

/** @type {[string, string, number, number][]} symbol, name, opening price in cents, time to settle */
const LISTED = [
  ["BRKW", "Breakwater Shipping", 8412, 0],
  ["CSTL", "Coastal Utilities", 3127, 0],
  ["FRTH", "Firth Renewables", 5690, 0],
  ["KEEL", "Keel Industrial", 12745, 0],
  ["LNTN", "Lantern Insurance", 21480, 0],
  ["MOOR", "Mooring Trust", 4305, 0],
  ["QUAY", "Quayside Property", 1868, 0],
  ["SLOW", "Slack Water Bonds", 9950, 8000],
];

/** A small generator with a seed (mulberry32). @param {number} seed */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** @param {number} cents */
export const money = (cents) => Math.round(cents) / 100;

/** @param {{seed: number}} options */
export function createMarket({ seed }) {
  const random = randomFrom(seed);
  /** @type {Map<string, Instrument>} */
  const instruments = new Map(
    LISTED.map(([symbol, name, open, settle_ms]) => [
      symbol,
      { symbol, name, open, last: open, settle_ms },
    ]),
  );

  function step() {
    for (const instrument of instruments.values()) {
      const drawn = random();
      if (random() < 0.6) continue;
      // Up to 0.15 % a step, pulled gently home so that a desk left running for days stays believable.
      const home = (instrument.open - instrument.last) / instrument.open / 200;
      const change = instrument.last * ((drawn - 0.5) * 0.003 + home);
      instrument.last = Math.max(1, Math.round(instrument.last + change));
    }
  }

  const timer = setInterval(step, 250);
  timer.unref();

  return {
    /** @param {unknown} symbol */
    find: (symbol) => (typeof symbol === "string" ? instruments.get(symbol.toUpperCase()) : undefined),
    all: () => [...instruments.values()],
    quotes: () =>
      [...instruments.values()].map(({ symbol, last, open }) => ({
        symbol,
        last: money(last),
        change: money(last - open),
      })),
    step,
    close: () => clearInterval(timer),
  };
}

/** @typedef {ReturnType<typeof createMarket>} Market */
