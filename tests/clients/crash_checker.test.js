// @ts-check
// The checker of the crash loop is believed when it says that all is well. So it is shown histories in which it is not.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { check } from "./crash/checker.js";
import { History } from "./crash/history.js";

/**
 * A history in which all is well: used until 1,500, idle limit 1,000, killed at 1,600, ended at 2,501.
 * @returns {{history: History, record: import("./crash/checker.js").Record}}
 */
function good() {
  const history = new History();
  history.sessions.push({ id: "s", idleMs: 1000, absoluteMs: 10_000, sent: 990, received: 1000 });
  history.requests.push(
    { name: "a", session: "s", active: true, sent: 1500, received: 1502, passed: true, refused: false },
    { name: "b", session: "s", active: false, sent: 2400, received: 2403, passed: true, refused: false },
    { name: "c", session: "s", active: false, sent: 2700, received: 2702, passed: false, refused: true },
  );
  history.told.push({ session: "s", reason: "idle_timeout", endedAt: 2501, received: 2702 });
  history.kills.push({ from: 1600, to: 1605 });
  const record = new Map([["s", { starts: 1, ends: [{ reason: "idle_timeout", ended_at: 2501, at: 2502 }] }]]);
  return { history, record };
}

/** @type {[string, RegExp, (at: ReturnType<typeof good>) => void][]} */
const BAD = [
  ["an acknowledged start that is not on the record", /start was acknowledged/, ({ record }) => record.delete("s")],
  ["a start that stands twice", /stands 2 times/, ({ record }) => void (record.get("s").starts = 2)],
  ["two ends", /ends 2 times/, ({ record }) => void record.get("s").ends.push(record.get("s").ends[0])],
  ["a request that passes after the deadline", /never-late: c/, ({ history }) => void (history.requests[2].passed = true)],
  [
    "passive traffic that moves the deadline",
    /never-late: d/,
    ({ history }) => void history.requests.push({ name: "d", session: "s", active: false, sent: 2600, received: 2601, passed: true, refused: false }),
  ],
  [
    "an absolute limit that slides",
    /never-late: z/,
    ({ history, record }) => {
      history.told = [];
      record.get("s").ends = [{ reason: "absolute_timeout", ended_at: 10_995, at: 12_500 }];
      for (let at = 2000; at < 12_000; at += 500) {
        history.requests.push({ name: at > 11_002 ? "z" : "y", session: "s", active: true, sent: at, received: at + 1, passed: true, refused: false });
      }
    },
  ],
  [
    "a request that passes after a refusal",
    /never-revived: b/,
    ({ history }) => {
      history.told[0].received = 2395;
    },
  ],
  ["an end that was told and is not on the record", /is not on the record/, ({ record }) => void (record.get("s").ends = [])],
  [
    "an acknowledged order that is lost",
    /acknowledged, and is lost/,
    ({ history, record }) => {
      history.told = [];
      history.orders.push({ session: "s", sent: 2450, received: 2460, acknowledged: true });
      record.get("s").ends = [];
    },
  ],
  [
    "an end that was told under another name",
    /told revoked/,
    ({ history }) => void (history.told[0].reason = "revoked"),
  ],
  [
    "an end that is later on the record than it was told",
    /told idle_timeout at 2501/,
    ({ record }) => void (record.get("s").ends[0].ended_at = 2600),
  ],
  [
    "an idle end that comes early with no crash",
    /ms early, and there was no crash/,
    ({ history, record }) => {
      history.kills = [];
      record.get("s").ends[0].ended_at = 2300;
    },
  ],
  [
    "a crash that costs more than its second",
    /a crash cost/,
    ({ history, record }) => {
      history.requests[0].sent = 1900;
      history.requests[0].received = 3200;
      history.kills = [{ from: 3300, to: 3301 }];
      history.sessions[0].idleMs = 2000;
      history.requests = history.requests.slice(0, 1);
      history.told = [];
      record.get("s").ends[0].ended_at = 2800;
    },
  ],
  [
    "activity that is lost although the program lived on for longer than a crash may cost",
    /500 ms early, by activity after which/,
    ({ history, record }) => {
      // The crash comes 1,100 ms later: too late to have cost it, though no more than a second is missing.
      history.requests = history.requests.slice(0, 1);
      history.sessions[0].idleMs = 2000;
      history.kills = [{ from: 2602, to: 2610 }];
      history.told = [];
      record.get("s").ends[0].ended_at = 3000;
    },
  ],
  [
    "an absolute end that comes early",
    /absolute limit/,
    ({ history, record }) => {
      history.told = [];
      record.get("s").ends[0] = { reason: "absolute_timeout", ended_at: 5000, at: 5001 };
    },
  ],
  [
    "a revocation that nobody asked for",
    /nobody had asked/,
    ({ history, record }) => {
      history.told = [];
      record.get("s").ends[0].reason = "revoked";
    },
  ],
  [
    "an end for a reason that nothing brings about",
    /clock_fault/,
    ({ history, record }) => {
      history.told = [];
      record.get("s").ends[0].reason = "clock_fault";
    },
  ],
];

describe("the checker of the crash loop", () => {
  test("finds nothing wrong where nothing is", () => {
    const { history, record } = good();
    assert.deepEqual(check(history, record).wrong, []);
  });

  for (const [what, says, tamper] of BAD) {
    test(`finds ${what}`, () => {
      const at = good();
      tamper(at);
      const { wrong } = check(at.history, at.record);
      assert.match(wrong.join("\n"), says);
    });
  }
});
