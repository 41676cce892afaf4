// @ts-check
// Positions, orders and the ticket.
import { change, count, el, get, now, price, say, stale, tell, time } from "./dom.js";
import { Refused, SignedOut, isSignedOut, json, later } from "./session.js";
import { createTable } from "./table.js";

/** @typedef {{user: string, symbol: string, name: string, quantity: number, average: number, last: number, value: number, gain: number}} Position */
/** @typedef {{id: string, user: string, symbol: string, side: string, quantity: number, limit: number | null, price: number | null, value: number, status: string, reason: string | null, note: string, placed_at: string}} Order */
/** @typedef {import("./quotes.js").Quote} Quote */

const EVERY_MS = 5000;

/** @type {Record<string, string>} */
const STATUS = {
  settling: "Settling",
  awaiting_approval: "Awaiting approval",
  filled: "Filled",
  rejected: "Rejected",
};

/** @param {string} role */
export function createTrading(role) {
  /** @type {Position[]} */
  let positions = [];
  /** @type {Map<string, Quote>} */
  let quotes = new Map();
  const everyone = role === "supervisor";

  /** @type {import("./table.js").Column<any>} */
  const owner = { title: "Trader", value: (row) => row.user };
  /** @type {ReturnType<typeof createTable<Position>>} */
  const positionsTable = createTable("positions-table", {
    key: (row) => `${row.user} ${row.symbol}`,
    empty: "Nothing held.",
    columns: [
      ...(everyone ? [owner] : []),
      { title: "Symbol", kind: "key", value: (row) => row.symbol },
      { title: "Name", kind: "narrow-off", value: (row) => row.name },
      { title: "Quantity", kind: "figure", value: (row) => row.quantity, show: (row) => count(row.quantity) },
      { title: "Average", kind: "figure narrow-off", value: (row) => row.average, show: (row) => price(row.average) },
      { title: "Last", kind: "figure narrow-off", value: (row) => row.last, show: (row) => price(row.last) },
      { title: "Value", kind: "figure", value: (row) => row.value, show: (row) => price(row.value) },
      { title: "Gain", kind: "figure", value: (row) => row.gain, show: (row) => change(row.gain) },
    ],
  });
  /** @type {ReturnType<typeof createTable<Order>>} */
  const ordersTable = createTable("orders-table", {
    key: (row) => row.id,
    empty: "No orders yet today.",
    columns: [
      { title: "Order", kind: "key", value: (row) => row.id },
      { title: "Placed", kind: "narrow-off", value: (row) => row.placed_at, show: (row) => time(row.placed_at) },
      ...(everyone ? [{ ...owner, kind: "narrow-off" }] : []),
      {
        title: "What",
        value: (row) => `${row.side} ${row.symbol}`,
        show: (row) => `${row.side === "buy" ? "Buy" : "Sell"} ${count(row.quantity)} ${row.symbol}`,
      },
      {
        title: "Price",
        kind: "figure narrow-off",
        value: (row) => row.price ?? row.limit ?? 0,
        show: (row) => (row.price !== null ? price(row.price) : row.limit !== null ? `${price(row.limit)} limit` : "Market"),
      },
      { title: "Value", kind: "figure narrow-off", value: (row) => row.value, show: (row) => price(row.value) },
      { title: "State", value: (row) => row.status, show: status },
    ],
  });

  /** @param {Order} row */
  function status(row) {
    const text = el("span", {}, STATUS[row.status] ?? row.status);
    if (row.reason) text.append(el("span", { class: "sub" }, row.reason));
    if (everyone && row.status === "awaiting_approval") {
      text.append(
        el(
          "span",
          { class: "actions" },
          el("button", { class: "button", type: "button", click: () => void decide(row, "approve") }, "Approve"),
          el("button", { class: "button", type: "button", click: () => void decide(row, "reject") }, "Reject"),
        ),
      );
    }
    return text;
  }

  /**
   * @param {Order} row
   * @param {"approve" | "reject"} decision
   */
  async function decide(row, decision) {
    try {
      await json(`/api/orders/${row.id}/${decision}`, { method: "POST" });
      tell("orders-result", "done", `Order ${row.id} ${decision === "approve" ? "approved" : "rejected"}.`);
    } catch (error) {
      tell("orders-result", "failed", unfinished(error, `Order ${row.id} is unchanged`));
    }
    await refresh();
  }

  function redraw() {
    positionsTable.render(
      positions.map((row) => {
        const last = quotes.get(row.symbol)?.last ?? row.last;
        const value = last * row.quantity;
        return { ...row, last, value, gain: value - row.average * row.quantity };
      }),
    );
  }

  async function refresh() {
    try {
      const [held, placed] = await Promise.all([json("/api/positions"), json("/api/orders")]);
      positions = held.positions;
      redraw();
      ordersTable.render(placed.orders);
      say("positions", "live", `As of ${now()}`);
      say("orders", "live", `As of ${now()}`);
    } catch {
      stale("positions");
      stale("orders");
    }
  }

  async function keepFresh() {
    await refresh();
    later(EVERY_MS, () => void keepFresh());
  }

  if (role === "trader") startTicket(refresh, () => quotes);
  const placed = new URLSearchParams(location.search).get("order");
  if (placed && /^[\w-]{1,40}$/.test(placed)) {
    tell("orders-result", "done", `Order ${placed} was placed.`);
    history.replaceState(null, "", "/#orders");
  }
  void keepFresh();

  return {
    refresh,
    /** @param {Map<string, Quote>} next */
    onQuotes(next) {
      quotes = next;
      redraw();
      if (role === "trader") estimate(quotes);
    },
  };
}

/** @param {Map<string, Quote>} quotes */
function estimate(quotes) {
  const form = /** @type {HTMLFormElement} */ (get("ticket-form"));
  const line = get("ticket-estimate");
  const fields = new FormData(form);
  const quantity = Number(fields.get("quantity"));
  const each = Number(fields.get("limit")) || quotes.get(String(fields.get("symbol")))?.last || 0;
  const above = Number(line.dataset.approvalAbove);
  let text = `An order above ${count(above)} is approved by a supervisor first.`;
  if (quantity > 0 && each > 0) {
    text = `About ${price(quantity * each)}.`;
    if (quantity * each > above) text += " A supervisor approves it first.";
  }
  if (line.textContent !== text) line.textContent = text;
}

/**
 * @param {() => Promise<void>} refresh
 * @param {() => Map<string, Quote>} quotes
 */
function startTicket(refresh, quotes) {
  const form = /** @type {HTMLFormElement} */ (get("ticket-form"));
  const place = get("ticket-place");
  form.addEventListener("input", () => estimate(quotes()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send();
  });

  async function send() {
    if (place.ariaDisabled === "true") return;
    const fields = Object.fromEntries(new FormData(form));
    place.ariaDisabled = "true";
    tell("ticket-result", "waiting", "Placing the order");
    const answer = json("/api/orders", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(fields),
    });
    // A slow order stands in the list while it settles.
    const soon = setTimeout(() => void refresh(), 400);
    try {
      const order = await answer;
      tell("ticket-result", "done", `Order ${order.id}: ${(STATUS[order.status] ?? order.status).toLowerCase()}.`);
      form.reset();
      estimate(quotes());
    } catch (error) {
      tell("ticket-result", "failed", unfinished(error, ""));
    } finally {
      clearTimeout(soon);
      place.ariaDisabled = String(isSignedOut());
    }
    await refresh();
  }
}

/**
 * What can honestly be said of something that was sent and not confirmed.
 * @param {unknown} error
 * @param {string} refused
 */
function unfinished(error, refused) {
  if (error instanceof Refused) return refused ? `${refused}. ${error.message}` : error.message;
  if (error instanceof SignedOut) {
    return "The desk did not confirm it: you are signed out. What you typed is still here. Check Orders after you have signed in, before you enter it again.";
  }
  return "We cannot tell whether it arrived, because the connection was lost. Check Orders before you enter it again.";
}
