// @ts-check
// What each trader holds.
import { money } from "./market.js";

/** @typedef {{quantity: number, cost: number}} Holding quantity, and what it cost altogether, in cents */

/** @type {Record<string, [string, number, number][]>} symbol, quantity, average price in cents */
const OPENING = {
  trader: [
    ["BRKW", 1200, 8130],
    ["CSTL", 4000, 3190],
    ["KEEL", 350, 12210],
    ["LNTN", 180, 20960],
    ["QUAY", 7500, 1902],
  ],
  trader2: [
    ["FRTH", 2600, 5544],
    ["KEEL", 900, 12580],
    ["MOOR", 1500, 4411],
  ],
};

/** @param {{market: import("./market.js").Market, who: import("./who.js").Who}} options */
export function createPositions({ market, who }) {
  /** @type {Map<string, Map<string, Holding>>} */
  const books = new Map();
  for (const user of who.all()) {
    if (user.role !== "trader") continue;
    const opening = OPENING[user.id] ?? OPENING.trader;
    books.set(
      user.id,
      new Map(opening.map(([symbol, quantity, price]) => [symbol, { quantity, cost: quantity * price }])),
    );
  }

  return {
    /**
     * @param {string} user
     * @param {string} symbol
     */
    held: (user, symbol) => books.get(user)?.get(symbol)?.quantity ?? 0,

    /**
     * @param {string} user
     * @param {string} symbol
     * @param {"buy" | "sell"} side
     * @param {number} quantity
     * @param {number} price in cents
     */
    apply(user, symbol, side, quantity, price) {
      const book = books.get(user);
      if (!book) return;
      const holding = book.get(symbol) ?? { quantity: 0, cost: 0 };
      if (side === "buy") {
        holding.cost += quantity * price;
        holding.quantity += quantity;
      } else {
        holding.cost -= Math.round((holding.cost / holding.quantity) * quantity);
        holding.quantity -= quantity;
      }
      if (holding.quantity === 0) book.delete(symbol);
      else book.set(symbol, holding);
    },

    /**
     * A trader's own; everybody's for a supervisor.
     * @param {import("./who.js").User} user
     */
    list(user) {
      const rows = [];
      for (const [owner, book] of books) {
        if (user.role === "trader" && owner !== user.id) continue;
        for (const [symbol, { quantity, cost }] of book) {
          const instrument = market.find(symbol);
          if (!instrument) continue;
          rows.push({
            user: owner,
            symbol,
            name: instrument.name,
            quantity,
            average: money(cost / quantity),
            last: money(instrument.last),
            value: money(quantity * instrument.last),
            gain: money(quantity * instrument.last - cost),
          });
        }
      }
      return rows;
    },
  };
}

/** @typedef {ReturnType<typeof createPositions>} Positions */
