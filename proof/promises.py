"""What the entries themselves have to keep, whoever wrote them.

A promise is a row of `PROMISES`. Whenever an entry is held against one, that is counted, so that the report can say what was checked and
what there was nothing of. Instants are milliseconds since 1970. The slack is for entries of different threads, which read the clock
before they are put into their order; where an instant follows from numbers there is none.
"""

import form
from notes import Wrong

PROMISES = {
    "form": "every entry is one JSON object, with the fields of its kind",
    "sequence": "the record begins with a start of the program, and after a stop nothing happens before the next one",
    "order": "the clock in the entries does not go back",
    "one-start": "a session starts once, before anything else is said of it, with a credential that opens no other",
    "never-revived": "a session ends once, and what is said of it after that belongs to its end",
    "never-longer": "limits are those of the policy or tighter, only ever go down, and no session outlives them",
    "by-the-numbers": "an idle or absolute end is at exactly the instant that its numbers give, neither before nor after",
    "credentials": "a session gets credentials while it lives, each presented first once, and ends by the reuse of one only after the overlap",
    "lateness": "how late an end or a cut was is what its instants say",
    "cuts": "what was cut belongs to a session that ended then, for that reason, and was not cut before",
    "refusals": "what was refused or withheld after an end was not so before it, and the first refusal is told once",
    "blocks": "nobody who is blocked starts a session, and all that they had ended with the block",
    "restored": "no session of a backup lives after the restore",
    "nothing-forgotten": "no session lives on past its hard end, and each start finds as many as the entries before it say",
}
LATE_MOST = "no end and no cut was later than was asked for with --late-most"

# How long a credential stays good after a later one was first presented.
OVERLAP = 30_000
BY_DEADLINE = {"idle_timeout": False, "absolute_timeout": True}
# What a start finds is on record before it says that it has started.
FOUND_BY_A_START = ("session_ended", "limits_lowered", "clock_fault", "clock_stepped", "machine_suspended")
# A step of the clock brings many deadlines at once; their ends may be behind the last entry of an export.
STEPS_REMEMBERED = 1000


class Session:
    def __init__(self, start):
        self.start, self.end, self.owed = start, None, None
        self.idle, self.hard_end = start["idle_ms"], start["hard_end"]
        # What belongs to its end and stood before it: made by different threads in the same instants.
        self.early, self.refused = [], False
        # The entries by which it got credentials, and when the first of those was presented.
        self.unpresented, self.replaced = set(), None

    def deadline(self, last_activity):
        return min(last_activity + self.idle, self.hard_end)


class Promises:
    """Takes the entries in their order, then says what was not kept."""

    def __init__(self, slack_ms, late_most_ms=None):
        self.slack, self.late_most = slack_ms, late_most_ms
        self.counts, self.broken = {name: 0 for name in PROMISES}, []
        self.kinds, self.unknown = {}, set()
        self.sessions, self.credentials, self.blocked = {}, set(), set()
        self.policies, self.policy = {}, None
        self.index, self.live, self.latest, self.running, self.steps = 0, 0, 0, False, []
        self.latest_us = {"session_ended": 0, "cut": 0}

    def take(self, index, data):
        self.index = index
        try:
            entry, known = form.read(data)
        except Wrong as wrong:
            self._expect("form", False, str(wrong))
            return
        self._expect("form", True)
        self._expect("order", entry["at"] >= self.latest - self.slack, "%d ms before one that stands before it" % (self.latest - entry["at"]))
        self.latest = max(self.latest, entry["at"])
        self.kinds[entry["what"]] = self.kinds.get(entry["what"], 0) + 1
        if not known:
            self.unknown.add(entry["what"])
            return
        self._sequence(entry["what"])
        about = getattr(self, "_" + entry["what"], None)
        if about is not None:
            about(entry)

    def finish(self):
        """What can be said only when all of it was seen."""
        end, self.index = self.index, None
        stepped = sum(by_ms for index, by_ms in self.steps if end - index < STEPS_REMEMBERED)
        for name, session in self.sessions.items():
            if session.end is not None:
                continue
            over = self.latest - session.hard_end
            self._expect("nothing-forgotten", over <= self.slack + stepped, "session %s has no end, %d ms after its hard end" % (name, over))
            for promise, index, entry in session.early:
                soon = entry["at"] >= self.latest - self.slack
                self._expect(promise, soon, "it is of an end of session %s, which has none" % name, index)
            if session.owed is not None:
                promise, at, index = session.owed
                soon = self.latest <= at + self.slack
                self._expect(promise, soon, "session %s lives on after entry %d" % (name, index))

    # === the kinds of entries ===

    def _session_started(self, entry):
        name, credential = entry["session"], entry["credential"]
        new = name not in self.sessions and credential not in self.credentials
        if not self._expect("one-start", new, "session %s, or its credential, was there before" % name):
            return
        self._expect("blocks", entry["subject"] not in self.blocked, "session %s starts, and its subject is blocked" % name)
        in_force = self._expect("never-longer", entry["policy"] == self.policy, "session %s starts under a policy that is not in force" % name)
        if in_force:
            limits = self.policies[self.policy]
            longest = entry["started"] + limits["absolute_ms"]
            told = {(entry["idle_rule"], entry["idle_ms"] == limits["idle_ms"]), (entry["hard_end_rule"], entry["hard_end"] == longest)}
            within = entry["idle_ms"] <= limits["idle_ms"] and entry["hard_end"] <= longest and entry["started"] <= entry["at"]
            kept = within and ("policy", False) not in told
            self._expect("never-longer", kept, "session %s has other limits than policy %d gives" % (name, self.policy))
        self.sessions[name] = Session(entry)
        self.credentials.add(credential)
        self.live += 1

    def _session_ended(self, entry):
        session = self._session("one-start", entry)
        if session is None:
            return
        name, ended_at, numbers = entry["session"], entry["ended_at"], session.deadline(entry["last_activity"])
        if not self._expect("never-revived", session.end is None, "session %s had ended before" % name):
            return
        session.end = entry
        self.live -= 1
        kept = ended_at <= numbers and entry["at"] >= ended_at and entry["last_activity"] >= session.start["last_activity"]
        self._expect("never-longer", kept, "session %s ended %d ms after what its limits give" % (name, ended_at - numbers))
        if entry["reason"] in BY_DEADLINE:
            is_right = BY_DEADLINE[entry["reason"]] == (numbers == session.hard_end)
            words = "session %s ended at %d by %s, and its numbers give %d" % (name, ended_at, entry["reason"], numbers)
            self._expect("by-the-numbers", is_right and ended_at == numbers == entry["deadline"], words)
            self._late(entry, None if entry.get("while_down") else entry.get("lateness_us", -1))
        if entry["reason"] == "credential_reuse":
            kept = session.replaced is not None and ended_at >= session.replaced + OVERLAP
            self._expect("credentials", kept, "session %s ended by a credential that was not replaced, or was still good" % name)
        for promise, index, early in session.early:
            self._belongs(promise, index, early, entry)
        session.early = []
        if session.owed is not None:
            promise, at, index = session.owed
            late = ended_at - at
            self._expect(promise, late <= self.slack, "session %s ended %d ms after entry %d" % (name, late, index))

    def _authentication_added(self, entry):
        session = self._session("one-start", entry)
        if session is None:
            return
        name, credential = entry["session"], entry["credential"]
        self._expect("one-start", credential not in self.credentials, "the credential that session %s gets was there before" % name)
        lives = session.end is None or entry["at"] <= session.end["ended_at"] + self.slack
        kept = lives and entry["authenticated"] <= entry["at"] and entry["subject"] == session.start["subject"]
        self._expect("credentials", kept, "what session %s gets is not its subject's, or comes after its end" % name)
        self.credentials.add(credential)
        session.unpresented.add(self.index)

    def _credential_presented(self, entry):
        session = self._session("one-start", entry)
        if session is None:
            return
        first = entry["issued_by"] in session.unpresented
        self._expect("credentials", first, "entry %d gave session %s no credential, or it was presented before" % (entry["issued_by"], entry["session"]))
        session.unpresented.discard(entry["issued_by"])
        session.replaced = entry["at"] if session.replaced is None else min(session.replaced, entry["at"])

    def _cut(self, entry):
        self._late(entry, entry["lateness_us"])
        self._of_an_end("cuts", entry)

    def _refused_after_end(self, entry):
        session = self._of_an_end("refusals", entry)
        if session is not None:
            self._expect("refusals", not session.refused, "the first refusal of session %s is told again" % entry["session"])
            session.refused = True

    def _outcome_withheld(self, entry):
        self._of_an_end("refusals", entry)

    def _limits_lowered(self, entry):
        session = self._session("one-start", entry)
        if session is None:
            return
        self._expect("never-revived", session.end is None, "limits of session %s change after its end" % entry["session"])
        lower = entry["idle_ms"] <= session.idle and entry["hard_end"] <= session.hard_end
        self._expect("never-longer", lower, "limits of session %s go up" % entry["session"])
        session.idle, session.hard_end = min(session.idle, entry["idle_ms"]), min(session.hard_end, entry["hard_end"])

    def _subject_blocked(self, entry):
        self.blocked.add(entry["subject"])
        self._owe("blocks", entry, lambda session: session.start["subject"] == entry["subject"])

    def _subject_unblocked(self, entry):
        self._expect("blocks", entry["subject"] in self.blocked, "a block is lifted that was not there")
        self.blocked.discard(entry["subject"])

    def _restored(self, entry):
        self._expect("restored", entry["entries"] <= self.index, "it names more entries than stand before it")
        self._owe("restored", entry, lambda session: True)

    def _clock_stepped(self, entry):
        self.steps.append((self.index, entry["by_ms"]))

    _machine_suspended = _clock_stepped

    def _started(self, entry):
        limits = entry["policy"]
        self.policy = limits["version"]
        known = self.policies.setdefault(self.policy, limits) == limits and self.policy == max(self.policies)
        self._expect("never-longer", known, "policy %d is another than it was" % self.policy)
        for name, session in self.sessions.items():
            if session.end is None:
                longest = session.start["started"] + limits["absolute_ms"]
                kept = session.idle <= limits["idle_ms"] and session.hard_end <= longest
                self._expect("never-longer", kept, "session %s lives on with longer limits than this policy gives" % name)
        words = "%d sessions live by it, and %d by the entries before it" % (entry["live"], self.live)
        self._expect("nothing-forgotten", entry["live"] == self.live, words)

    # === what they have in common ===

    def _sequence(self, what):
        if what == "started":
            self.running = True
        kept = self.running or (self.policy is not None and what in FOUND_BY_A_START)
        self._expect("sequence", kept, "`%s` while the program does not run" % what)
        if what == "stopped":
            self.running = False

    def _session(self, promise, entry):
        session = self.sessions.get(entry["session"])
        words = "`%s` of session %s, which has not started" % (entry["what"], entry["session"])
        return session if self._expect(promise, session is not None, words) else None

    def _late(self, entry, told_us):
        """Instants are cut off to the millisecond, so both say the same to that. None: nothing ran, so nothing was late."""
        if told_us is None:
            self._expect("lateness", "lateness_us" not in entry, "late, and nothing ran")
            return
        by_instants = max(entry["at"] - entry["ended_at"], 0)
        words = "`%s` says that it was %d us late, and its instants say %d ms" % (entry["what"], told_us, by_instants)
        self._expect("lateness", by_instants == told_us // 1000, words)
        self.latest_us[entry["what"]] = max(self.latest_us[entry["what"]], told_us)
        if self.late_most is not None:
            self._expect("late-most", told_us <= self.late_most * 1000, "`%s` was %.3f ms late" % (entry["what"], told_us / 1000))

    def _of_an_end(self, promise, entry):
        """Something that there is only after an end."""
        session = self._session(promise, entry)
        if session is not None and session.end is None:
            session.early.append((promise, self.index, entry))
        elif session is not None:
            self._belongs(promise, self.index, entry, session.end)
        return session

    def _belongs(self, promise, index, entry, end):
        kept = entry["at"] >= end["ended_at"] - self.slack
        if entry["what"] == "cut":
            same = all(entry[name] == end[name] for name in ("reason", "ended_at", "subject"))
            kept = same and entry["at"] >= end["ended_at"]
        self._expect(promise, kept, "it is not of the end that session %s had" % entry["session"], index)

    def _owe(self, promise, entry, whose):
        for session in self.sessions.values():
            if session.end is None and session.owed is None and whose(session):
                session.owed = (promise, entry["at"], self.index)

    def _expect(self, promise, kept, words="", index=None):
        self.counts[promise] = self.counts.get(promise, 0) + 1
        if not kept:
            self.broken.append((promise, self.index if index is None else index, words))
        return kept
