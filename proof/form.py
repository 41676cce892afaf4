"""The kinds of entries and their fields, as docs/reference/ledger.md has them."""

import json
import re

from notes import Wrong

KINDS = {
    "session_started": "session subject kind cause started last_activity policy idle_ms idle_rule hard_end hard_end_rule warning_ms credential slot generation",
    "session_ended": "session subject reason by ended_at deadline last_activity policy passive open",
    "cut": "session subject reason channel route point how ended_at lateness_us",
    "authentication_added": "session subject cause authenticated credential",
    "credential_presented": "session issued_by",
    "refused_after_end": "session point",
    "outcome_withheld": "session route status",
    "limits_lowered": "session idle_ms idle_rule hard_end hard_end_rule",
    "subject_blocked": "subject by",
    "subject_unblocked": "subject by",
    "provider_logout": "provider token good_until ended",
    "clock_stepped": "direction by_ms",
    "machine_suspended": "by_ms",
    "clock_fault": "cause",
    "entries_gave_way": "count",
    "restored": "taken_at entries",
    "started": "version clean live policy",
    "stopped": "",
}
_NUMBERS = set(
    "at authenticated issued_by started last_activity policy idle_ms hard_end warning_ms ended_at deadline passive open lateness_us by_ms count taken_at entries "
    "good_until ended live version_number absolute_ms slot generation".split()
)
_TEXTS = set(
    "what session subject reason kind cause by channel route point how idle_rule hard_end_rule credential direction version provider token".split()
)
_PATTERNS = {
    "session": re.compile(r"ses_[0-9a-f]{32}"),
    "subject": re.compile(r"sub_[0-9a-f]{32}"),
    "kind": re.compile(r"person|service|agent"),
    "credential": re.compile(r"[0-9a-f]{64}"),
}


def read(data):
    """The entry, and whether it is of a kind that is known here. Kinds and fields are only ever added."""
    try:
        entry = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Wrong("not a JSON object in UTF-8: %s" % error) from None
    if not isinstance(entry, dict):
        raise Wrong("not a JSON object")
    _fields({name: entry[name] for name in ("what", "at") if name in entry}, ["what", "at"], {"at"})
    what = entry["what"]
    if what not in KINDS:
        return entry, False
    if what == "started":
        _fields(entry, KINDS[what].split(), _NUMBERS - {"policy"})
        if not isinstance(entry["policy"], dict):
            raise Wrong("`policy` is not an object")
        limits = dict(entry["policy"])
        limits["version_number"] = limits.pop("version", None)
        _fields(limits, ["version_number", "idle_ms", "absolute_ms", "warning_ms"], _NUMBERS)
    else:
        _fields(entry, KINDS[what].split(), _NUMBERS)
    return entry, True


def _fields(entry, needed, numbers):
    for name in needed:
        if name not in entry:
            raise Wrong("`%s` is missing" % name)
    for name, value in entry.items():
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if name in numbers and not is_number:
            raise Wrong("`%s` is not a whole number" % name)
        if name in _TEXTS and not isinstance(value, str):
            raise Wrong("`%s` is not a text" % name)
        if name in _PATTERNS and not _PATTERNS[name].fullmatch(value):
            raise Wrong("`%s` is not of the form that it has" % name)


def _once(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name stands in it twice")
    return dict(pairs)
