// @ts-check
// Orders: checked, numbered, settled (which may take a while), and above a limit approved by a supervisor.
import { setTimeout as sleep } from "node:timers/promises";
import { Problem } from "./http.js";
import { money } from "./market.js";

/** An order worth more than this many cents waits for a supervisor. */
export const APPROVAL_ABOVE = 100_000_00;
export const LONGEST_SETTLE_MS = 60_000;
const MOST = 5_000;

/** @typedef {"settling" | "awaiting_approval" | "filled" | "rejected"} Status */
/**
 * @typedef {object} Order
 * @property {string} id
 * @property {string} user
 * @property {string} symbol
 * @property {"buy" | "sell"} side
 * @property {number} quantity
 * @property {number | null} limit in cents; null is at market
 * @property {string} note
 * @property {Status} status
 * @property {number | null} price in cents, once filled
 * @property {string | null} reason why it was rejected
 * @property {string} placed_at
 * @property {string | null} settled_at
 * @property {string | null} decided_by
 */

/**
 * @param {object} parts
 * @param {import("./market.js").Market} parts.market
 * @param {import("./positions.js").Positions} parts.positions
 * @param {import("./notifications.js").Notifications} parts.notifications
 * @param {import("./audit.js").Audit} parts.audit
 */
export function createOrders({ market, positions, notifications, audit }) {
  /** @type {Map<string, Order>} */
  const orders = new Map();
  let next = 100001;

  /** @param {Order} order */
  const shown = (order) => ({
    ...order,
    limit: order.limit === null ? null : money(order.limit),
    price: order.price === null ? null : money(order.price),
    value: money(order.quantity * (order.price ?? order.limit ?? market.find(order.symbol)?.last ?? 0)),
  });

  /**
   * @param {Order} order
   * @param {string} reason
   */
  function reject(order, reason) {
    order.status = "rejected";
    order.reason = reason;
    notifications.add(order.user, `Order ${order.id} was rejected: ${reason}`);
  }

  /** @param {Order} order */
  function fill(order) {
    const last = market.find(order.symbol)?.last ?? 0;
    const held = positions.held(order.user, order.symbol);
    if (order.side === "sell" && order.quantity > held) {
      reject(order, `${held} ${order.symbol} held, ${order.quantity} to sell.`);
      return;
    }
    order.price = order.limit ?? last;
    order.status = "filled";
    positions.apply(order.user, order.symbol, order.side, order.quantity, order.price);
    notifications.add(
      order.user,
      `Order ${order.id} filled: ${order.side} ${order.quantity} ${order.symbol} at ${money(order.price).toFixed(2)}.`,
    );
  }

  return {
    /**
     * Answers once the order has settled. It settles whether or not the client waits for the answer.
     * @param {import("./who.js").User} user
     * @param {Record<string, unknown>} fields
     * @param {number} settleMs the least time to settle; a slow instrument may take longer
     */
    async place(user, fields, settleMs) {
      const checked = check(fields, user);
      /** @type {Order} */
      const order = {
        id: `HS-${next++}`,
        user: user.id,
        ...checked,
        status: "settling",
        price: null,
        reason: null,
        placed_at: new Date().toISOString(),
        settled_at: null,
        decided_by: null,
      };
      orders.set(order.id, order);
      const oldest = orders.keys().next().value;
      if (orders.size > MOST && oldest !== undefined) orders.delete(oldest);
      audit.add(user.id, `placed order ${order.id}`);

      const wait = Math.max(settleMs, market.find(order.symbol)?.settle_ms ?? 0);
      if (wait > 0) await sleep(wait);
      order.settled_at = new Date().toISOString();
      const value = order.quantity * (order.limit ?? market.find(order.symbol)?.last ?? 0);
      if (value > APPROVAL_ABOVE) {
        order.status = "awaiting_approval";
        notifications.add("role:supervisor", `Order ${order.id} by ${user.name} awaits approval.`);
      } else {
        fill(order);
      }
      return shown(order);
    },

    /**
     * @param {import("./who.js").User} user a supervisor
     * @param {string} id
     * @param {"approve" | "reject"} decision
     */
    decide(user, id, decision) {
      const order = orders.get(id);
      if (!order) throw new Problem(404, "No such order", `There is no order ${id}.`);
      if (order.status !== "awaiting_approval") {
        throw new Problem(409, "Not awaiting approval", `Order ${id} is ${order.status.replace("_", " ")}.`);
      }
      order.decided_by = user.id;
      audit.add(user.id, `${decision === "approve" ? "approved" : "rejected"} order ${id}`);
      if (decision === "approve") fill(order);
      else reject(order, "not approved.");
      return shown(order);
    },

    /**
     * Newest first. A trader's own; everybody's for a supervisor.
     * @param {import("./who.js").User} user
     */
    list: (user) =>
      [...orders.values()]
        .filter((order) => user.role !== "trader" || order.user === user.id)
        .reverse()
        .slice(0, 200)
        .map(shown),
  };

  /**
   * @param {Record<string, unknown>} fields
   * @param {import("./who.js").User} user
   */
  function check(fields, user) {
    /** @type {{field: string, detail: string}[]} */
    const errors = [];
    /** @type {(field: string, detail: string) => void} */
    const wrong = (field, detail) => void errors.push({ field, detail });

    const instrument = market.find(fields.symbol);
    if (!instrument) wrong("symbol", "Choose one of the listed instruments.");

    /** @type {"buy" | "sell" | null} */
    const side = fields.side === "buy" || fields.side === "sell" ? fields.side : null;
    if (!side) wrong("side", "Choose buy or sell.");

    const quantity = /^\d{1,7}$/.test(String(fields.quantity)) ? Number(fields.quantity) : 0;
    if (quantity < 1 || quantity > 1_000_000) wrong("quantity", "Enter a whole number from 1 to 1,000,000.");

    let limit = null;
    if (fields.limit !== undefined && fields.limit !== null && fields.limit !== "") {
      limit = /^\d{1,6}(\.\d{1,2})?$/.test(String(fields.limit)) ? Math.round(Number(fields.limit) * 100) : 0;
      if (limit < 1) wrong("limit", "Enter a price such as 84.12, or leave it empty to trade at market.");
    }

    const note = typeof fields.note === "string" ? fields.note : "";
    if (note.length > 500) wrong("note", "At most 500 characters.");

    if (errors.length === 0 && instrument && side === "sell") {
      const held = positions.held(user.id, instrument.symbol);
      if (quantity > held) wrong("quantity", `You hold ${held} ${instrument.symbol}.`);
    }
    if (!instrument || !side || errors.length > 0) {
      throw new Problem(422, "The order was not placed", errors.map((e) => e.detail).join(" "), {
        members: { errors },
      });
    }
    return { symbol: instrument.symbol, side, quantity, limit, note };
  }
}
