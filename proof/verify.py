#!/usr/bin/env python3
"""Checks an exported record of Nightlatch without Nightlatch: Python 3.8 or later and nothing else.

    nightlatch ledger export --dir DATA --to EXPORT          (the operator)
    python3 verify.py EXPORT --key ledger.vkey               (you)

Written from the public specifications (C2SP tlog-tiles, signed-note, tlog-checkpoint, tlog-cosignature; RFC 6962, RFC 8032) and from
docs/reference/ledger.md, and shares no code with the program that wrote the record. Get the key from somewhere else than the export.

Exit code 0: all that was checked holds. 1: something does not, and it is named. 2: wrong usage. 3: something cannot be read.
"""

import argparse
import json
import os
import sys
import time

import notes
import tiles
from notes import Wrong
from promises import LATE_MOST, PROMISES, Promises

PROOFS = {
    "signature": "the newest checkpoint is signed by the key that was given, in its name",
    "entries": "there are as many entries as it covers, and they give its root",
    "tiles": "the hashes that are published beside the entries are those that the entries give",
    "history": "every checkpoint of the history is signed, and the entries up to it give its root",
    "cosigned": "every checkpoint that a witness cosigned is signed by the log, and is one of this record",
    "witness": "the cosignatures of the witnesses that were named hold",
    "supplied": "the record continues the checkpoints that were given with --checkpoint",
}
NOT_CHECKED = [
    "that what the program wrote was true: the entries are its word",
    "that a live session whose idle limit has passed has ended: its last activity is not in the record before it ends",
    "what did not go through the gateway, and whether its clock was right",
    "which person a pseudonym is",
]
FINDINGS_SHOWN = 20


class Report:
    """What was held against what, how often, and what did not hold."""

    def __init__(self):
        self.counts = {name: 0 for name in PROOFS}
        self.broken, self.anchors = [], []
        self.size, self.root, self.promises = 0, b"", None

    def hold(self, name, check):
        """Does a check, and notes what it found wrong. Gives what it gives, or None."""
        self.counts[name] += 1
        try:
            return check()
        except Wrong as wrong:
            self.broken.append((name, None, str(wrong)))
            return None


def main():
    options = arguments()
    try:
        key = notes.Key(read(options.key).decode("utf-8", "replace"))
        witnesses = [notes.Key(text) for text in options.witness]
    except Wrong as wrong:
        print("verify: a key cannot be used: %s" % wrong, file=sys.stderr)
        return 2
    if is_not_exported(options.export):
        words = "`%s` is the record as the server keeps it: write an export of it (`nightlatch ledger export --dir DATA --to FOLDER`), and give me that folder"
        print("verify: " + words % options.export, file=sys.stderr)
        return 2
    report = Report()
    check(report, options, key, witnesses)
    print(as_json(report, key) if options.json else as_text(report, key))
    return 1 if report.broken else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", help="the folder that `nightlatch ledger export` wrote")
    parser.add_argument("--key", required=True, metavar="FILE", help="the ledger's public key (`ledger.vkey`), from somewhere else")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FILE", help="a checkpoint that you kept; may be repeated")
    parser.add_argument("--witness", action="append", default=[], metavar="KEY", help="a witness's public key, from the witness; may be repeated")
    parser.add_argument("--late-most", type=int, metavar="MS", help="refuse an end or a cut that was later than this many milliseconds")
    parser.add_argument("--slack", type=int, default=2000, metavar="MS", help="how far entries of the same moment may be out of order (%(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser.parse_args()


def is_not_exported(folder):
    """A data directory, or the ledger in one: segments, and no tiles."""
    inside = [os.path.join(folder, "ledger"), folder]
    segments = [name for place in inside if os.path.isdir(place) for name in os.listdir(place) if name.endswith(".segment")]
    return bool(segments) and not os.path.isdir(os.path.join(folder, "tile"))


def check(report, options, key, witnesses):
    folder = options.export
    newest = report.hold("signature", lambda: notes.Checkpoint(read(os.path.join(folder, "checkpoint")), key))
    claims = history(report, folder, key) + cosigned(report, folder, key, witnesses)
    for file in options.checkpoint:
        claim = report.hold("supplied", lambda: notes.Checkpoint(read(file), key))
        claims.append(("supplied", "`%s`" % file, claim, "a checkpoint that was given"))
    claims = [claim for claim in claims if claim[2] is not None]
    if newest is None:
        return
    report.size, report.root = newest.size, newest.root
    promises = report.promises = Promises(options.slack, options.late_most)
    roots = report.hold("entries", lambda: walk(report, folder, newest, {claim.size for _, _, claim, _ in claims}, promises))
    promises.finish()
    report.broken += promises.broken
    for name, what, claim, by in claims if roots else []:
        holds = report.hold(name, lambda: agrees(what, claim, newest, roots))
        if holds and by:
            report.anchors.append((claim.size, by))


def walk(report, folder, newest, sizes, promises):
    """Reads every entry once. Gives the roots at these sizes."""
    tree, published, roots = tiles.Tree(), tiles.Tiles(folder, newest.size), {}
    whole = True

    def held(step):
        nonlocal whole
        if whole:
            whole = report.hold("tiles", lambda: step() or True) is True

    roots[0] = tree.root()
    for index, entry in enumerate(tiles.entries(folder, newest.size)):
        leaf = tiles.leaf_hash(entry)
        tree.push(leaf)
        held(lambda: published.push(0, leaf))
        if tree.size in sizes:
            roots[tree.size] = tree.root()
        promises.take(index, entry)
    held(published.finish)
    report.counts["tiles"] = published.checked
    if tree.root() != newest.root:
        raise Wrong("the entries are not those that the checkpoint was signed for: their root is %s" % notes.text(tree.root()))
    return roots


def history(report, folder, key):
    data = read_if_there(os.path.join(folder, "checkpoints"))
    split = report.hold("history", lambda: notes.split_history(data)) if data else []
    claims, before = [], -1
    for number, note in enumerate(split or []):
        what = "checkpoint %d of the history" % number
        claim = report.hold("history", lambda: of(what, note, key))
        if claim is not None:
            report.hold("history", lambda: rises(what, before, claim))
            before = claim.size
        claims.append(("history", what, claim, None))
    return claims


def cosigned(report, folder, key, witnesses):
    claims, folder = [], os.path.join(folder, "cosigned")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        what = "`cosigned/%s`" % name
        claim = report.hold("cosigned", lambda: of(what, read(os.path.join(folder, name)), key))
        claims.append(("cosigned", what, claim, None))
        for witness in witnesses if claim is not None else []:
            when = report.hold("witness", lambda: by_witness(what, claim, witness))
            if when is not None:
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
                claims.append(("witness", what, claim, "witness `%s` at %s" % (witness.name, at)))
    return claims


def of(what, note, key):
    try:
        return notes.Checkpoint(note, key)
    except Wrong as wrong:
        raise Wrong("%s: %s" % (what, wrong)) from None


def rises(what, before, claim):
    if claim.size <= before:
        raise Wrong("%s covers %d entries, and the one before it %d" % (what, claim.size, before))


def by_witness(what, claim, witness):
    try:
        return claim.note.signed_by(witness)
    except Wrong as wrong:
        raise Wrong("%s: %s" % (what, wrong)) from None


def agrees(what, claim, newest, roots):
    if claim.size > newest.size:
        raise Wrong("%s covers %d entries, and there are %d: the record was cut" % (what, claim.size, newest.size))
    root = newest.root if claim.size == newest.size else roots[claim.size]
    if root != claim.root:
        raise Wrong("%s covers %d entries that are not the first %d of this record" % (what, claim.size, claim.size))
    return True


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        print("verify: `%s` cannot be read: %s" % (path, error.strerror), file=sys.stderr)
        sys.exit(3)


def read_if_there(path):
    return read(path) if os.path.exists(path) else b""


def as_text(report, key):
    lines = ["ledger `%s`: %d entries, root %s" % (key.name, report.size, notes.text(report.root)), ""]
    for name, means, count, failed in rows(report):
        word = "BROKEN " if failed else "holds  " if count else "nothing"
        lines.append("%s %9d  %-18s %s" % (word, count, name, means))
    lines.append("")
    for name, index, words in report.broken[:FINDINGS_SHOWN]:
        lines.append("found: %s: %s%s" % (name, "" if index is None else "entry %d: " % index, words))
    if len(report.broken) > FINDINGS_SHOWN:
        lines.append("found: and %d more" % (len(report.broken) - FINDINGS_SHOWN))
    lines += ["anchored: %d entries by %s" % anchor for anchor in best(report)]
    if not report.anchors:
        lines.append("not independently anchored: whoever holds the ledger's key could have written all of this anew")
    if report.promises is not None:
        late = report.promises.latest_us
        lines.append("latest: an end by %.3f ms, a cut by %.3f ms" % (late["session_ended"] / 1000, late["cut"] / 1000))
        lines.append("entries: " + ", ".join("%d %s" % (count, kind) for kind, count in sorted(report.promises.kinds.items())))
        for kind in sorted(report.promises.unknown):
            lines.append("not checked: entries of kind `%s`, which this program does not know" % kind)
    lines += ["not checked: %s" % what for what in NOT_CHECKED]
    return "\n".join(lines)


def as_json(report, key):
    checks = [{"check": name, "means": means, "times": count, "holds": not failed} for name, means, count, failed in rows(report)]
    found = [{"check": name, "entry": index, "found": words} for name, index, words in report.broken]
    anchors = [{"entries": entries, "by": by} for entries, by in best(report)]
    late = report.promises.latest_us if report.promises is not None else {}
    unknown = sorted(report.promises.unknown) if report.promises is not None else []
    return json.dumps(
        {
            "ledger": key.name,
            "entries": report.size,
            "root": notes.text(report.root),
            "holds": not report.broken,
            "checks": checks,
            "found": found,
            "anchored": anchors,
            "latest_us": late,
            "kinds": report.promises.kinds if report.promises is not None else {},
            "not_checked": NOT_CHECKED + ["entries of kind `%s`" % kind for kind in unknown],
        }
    )


def rows(report):
    failed = {name for name, _, _ in report.broken}
    counts = dict(report.counts, **(report.promises.counts if report.promises is not None else {}))
    means = dict(PROOFS, **PROMISES)
    if "late-most" in counts:
        means["late-most"] = LATE_MOST
    return [(name, what, counts.get(name, 0), name in failed) for name, what in means.items()]


def best(report):
    """The largest of each, the smallest first."""
    largest = {}
    for entries, by in report.anchors:
        who = by.split(" at ")[0]
        largest[who] = max(largest.get(who, (0, "")), (entries, by))
    return sorted(largest.values())


if __name__ == "__main__":
    sys.exit(main())
