// @ts-check
// Holds what clients saw against the promises, and against the record. Knows nothing of how the program works.
//
// A client does not know when a request was decided on, only when it was sent and answered. So a deadline is known as a pair: it is
// not before `earliest` and not after `latest`. What passed although it was sent after the latest that the deadline can have
// been, passed too late; what ended before the earliest it can have been, ended too early. Everything between is anybody's guess, and
// the answers of a busy machine make it wide; that is why there are many rounds.

/**
 * @typedef {import("./history.js").History} History
 * @typedef {import("./history.js").Session} Session
 * @typedef {import("./history.js").Request} Request
 * @typedef {{reason: string, ended_at: number, at: number, while_down?: boolean}} End as it stands on the record
 * @typedef {Map<string, {starts: number, ends: End[]}>} Record
 */

/** Two readings of one machine's clock, cut off to milliseconds by two programs. */
const CUT_OFF_MS = 2;
/** The second of recorded activity that a crash may cost. */
const CRASH_MS = 1000;
const BY_NUMBERS = ["idle_timeout", "absolute_timeout"];

/**
 * Everything that is wrong, in words; nothing if all promises were kept.
 * @param {History} history
 * @param {Record} record
 * @param {{busyMs?: number, inARowMs?: number}} [allow] what a busy machine adds to the second that a crash may cost, and what crashes in a
 * row may cost together beyond it
 */
export function check(history, record, { busyMs = 0, inARowMs = 0 } = {}) {
  /** @type {string[]} */
  const wrong = [];
  let lostMs = 0;
  const of = grouped(history);
  for (const session of history.sessions) {
    const seen = of.get(session.id) ?? nothing();
    const say = (/** @type {string} */ what) => void wrong.push(`${session.id}: ${what}`);
    const entry = record.get(session.id);
    if (entry?.starts !== 1) {
      say(`on-the-record: its start was acknowledged, and stands ${entry?.starts ?? 0} times on the record`);
      continue;
    }
    if (entry.ends.length > 1) say(`on-the-record: it ends ${entry.ends.length} times`);
    const [end] = entry.ends;
    tooLate(session, seen, say);
    revived(seen, end, say);
    lost(seen, end, say);
    if (end) lostMs = Math.max(lostMs, tooEarly(session, seen, end, history.kills, { one: CRASH_MS + busyMs, inARow: CRASH_MS + inARowMs }, say));
  }
  return { wrong, lostMs };
}

/** @typedef {{requests: Request[], told: History["told"], orders: History["orders"]}} Seen */

/** @returns {Seen} */
const nothing = () => ({ requests: [], told: [], orders: [] });

/** @param {History} history */
function grouped(history) {
  /** @type {Map<string, Seen>} */
  const of = new Map();
  const at = (/** @type {string} */ id) => {
    const seen = of.get(id) ?? nothing();
    of.set(id, seen);
    return seen;
  };
  for (const request of history.requests) at(request.session).requests.push(request);
  for (const told of history.told) at(told.session).told.push(told);
  for (const order of history.orders) at(order.session).orders.push(order);
  for (const seen of of.values()) seen.requests.sort((one, other) => one.sent - other.sent);
  return of;
}

/**
 * never-late, never-longer: nothing passes that was sent after the latest that the deadline can have been. Activity counts at the
 * latest when it was answered, and only if it was let through itself or may have been.
 * @param {Session} session @param {Seen} seen @param {(what: string) => void} say
 */
function tooLate(session, seen, say) {
  const hardEnd = session.received + session.absoluteMs;
  let last = session.received;
  for (const request of seen.requests) {
    const latest = Math.min(last + session.idleMs, hardEnd);
    const late = request.sent - latest;
    if (late > CUT_OFF_MS) {
      if (request.passed) say(`never-late: ${request.name} was sent ${late} ms after the deadline, and passed`);
      continue;
    }
    if (request.active && !request.refused) last = Math.max(last, Math.min(request.received, latest));
  }
}

/**
 * never-revived: nothing passes that was sent after somebody had been told of the end.
 * @param {Seen} seen @param {End | undefined} end @param {(what: string) => void} say
 */
function revived(seen, end, say) {
  const told = seen.told.map(({ received }) => received);
  const ordered = seen.orders.filter(({ acknowledged }) => acknowledged).map(({ received }) => received);
  const first = Math.min(...told, ...ordered, end ? end.at + CUT_OFF_MS : Infinity);
  for (const request of seen.requests) {
    if (request.passed && request.sent > first) {
      say(`never-revived: ${request.name} was sent ${request.sent - first} ms after the end was told, and passed`);
    }
  }
}

/**
 * What was told stays: an order that was acknowledged is on the record, and so is every end that somebody was told of. One that follows
 * from the numbers may be found again after a crash from numbers that are a little older.
 * @param {Seen} seen @param {End | undefined} end @param {(what: string) => void} say
 */
function lost(seen, end, say) {
  if (!end) {
    if (seen.told.length > 0) say(`on-the-record: its end was told (${seen.told[0].reason}), and is not on the record`);
    if (seen.orders.some(({ acknowledged }) => acknowledged)) say("on-the-record: its end was acknowledged, and is lost");
    return;
  }
  for (const { reason, endedAt } of seen.told) {
    const again = BY_NUMBERS.includes(reason) && BY_NUMBERS.includes(end.reason) && end.ended_at <= (endedAt ?? Infinity);
    const same = reason === end.reason && (endedAt === undefined || endedAt === end.ended_at);
    if (!same && !again) say(`never-revived: told ${reason} at ${endedAt}, and the record says ${end.reason} at ${end.ended_at}`);
  }
}

/**
 * never-early: an end has its cause, and does not come before the earliest that the deadline can have been, but for what a crash may
 * cost. A crash may cost its second and no more: activity after which the program lived that long is safe from every later one.
 * Several crashes in a row may each cost theirs. Gives how much was lost to all that came.
 * @param {Session} session @param {Seen} seen @param {End} end @param {History["kills"]} kills
 * @param {{one: number, inARow: number}} may what a crash may cost, and several in a row
 * @param {(what: string) => void} say
 */
function tooEarly(session, seen, end, kills, may, say) {
  if (end.reason === "revoked") {
    if (!seen.orders.some(({ sent }) => sent <= end.ended_at + CUT_OFF_MS)) say("never-early: revoked, and nobody had asked for it");
    return 0;
  }
  if (!BY_NUMBERS.includes(end.reason)) {
    say(`never-early: it ended by ${end.reason}, which nothing here brings about`);
    return 0;
  }
  const hardEnd = session.sent + session.absoluteMs;
  if (end.reason === "absolute_timeout") {
    if (end.ended_at < hardEnd - CUT_OFF_MS) say(`never-early: absolute limit ${hardEnd - end.ended_at} ms early`);
    return 0;
  }
  const active = seen.requests.filter(({ active, passed, sent }) => active && passed && sent < end.ended_at);
  const last = Math.max(session.sent, ...active.map(({ sent }) => sent));
  const early = last + session.idleMs - end.ended_at;
  if (early <= CUT_OFF_MS) return 0;
  const crashed = kills.some(({ to }) => to >= last && to <= last + session.idleMs + may.inARow);
  if (!crashed) say(`never-early: idle limit ${early} ms early, and there was no crash`);
  else if (early > may.inARow + CUT_OFF_MS) say(`never-early: a crash cost ${early} ms`);
  const safe = active.filter(({ sent, received }) => !kills.some(({ from, to }) => to >= sent && from <= received + may.one));
  const lastSafe = Math.max(session.sent, ...safe.map(({ sent }) => sent));
  const lostSafe = lastSafe + session.idleMs - end.ended_at;
  if (lostSafe > CUT_OFF_MS) say(`never-early: ${lostSafe} ms early, by activity after which the program had lived ${may.one} ms`);
  return early;
}
