#!/usr/bin/env python3
"""Damages an exported record in one way, for the tests of verify.py.

    forge.py EXPORT TO DAMAGE               as somebody who can write the files
    forge.py EXPORT TO DAMAGE --key KEY     as somebody who holds the ledger's key: the history is written anew, and signed
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ed25519
import tiles


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("export")
    parser.add_argument("to")
    parser.add_argument("damage")
    parser.add_argument("--key")
    options = parser.parse_args()
    if options.key is None:
        shutil.copytree(options.export, options.to)
        FILES[options.damage](options.to)
        return
    with open(os.path.join(options.export, "checkpoint"), encoding="utf-8") as file:
        origin, size = file.read().split("\n")[:2]
    entries = [json.loads(entry) for entry in tiles.entries(options.export, int(size))]
    HISTORIES[options.damage](entries)
    write(options.to, origin, [json.dumps(entry, separators=(",", ":")).encode() for entry in entries], seed(options.key))


# === by whoever can write the files ===


def change(folder, path, what):
    path = os.path.join(folder, path)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data = what(data)
    with open(path, "wb") as file:
        file.write(data)


def turned(find):
    def turn(data):
        data[find(data)] ^= 1
        return data

    return turn


def first(folder, below):
    found = [os.path.join(where, name) for where, _, names in os.walk(os.path.join(folder, below)) for name in names]
    return os.path.relpath(min(found), folder)


def swapped(data):
    pieces = data.split(b"\n\n")
    return b"\n\n".join(pieces[2:4] + pieces[0:2] + pieces[4:])


FILES = {
    "nothing": lambda folder: None,
    "a letter of an entry": lambda folder: change(folder, first(folder, "tile/entries"), turned(lambda data: data.index(b'"version"') + 12)),
    "a bundle that ends early": lambda folder: change(folder, first(folder, "tile/entries"), lambda data: data[:-1]),
    "a bundle with more behind it": lambda folder: change(folder, first(folder, "tile/entries"), lambda data: data + b"\0\0"),
    "a bit of a hash": lambda folder: change(folder, first(folder, "tile/0"), turned(lambda data: 5)),
    "a tile that is gone": lambda folder: os.remove(os.path.join(folder, first(folder, "tile/0"))),
    "a bit of the signature": lambda folder: change(folder, "checkpoint", turned(lambda data: len(data) - 9)),
    "another size": lambda folder: change(folder, "checkpoint", lambda data: data.replace(b"\n", b"\n1", 1)),
    "the history in another order": lambda folder: change(folder, "checkpoints", swapped),
    "half a note in the history": lambda folder: change(folder, "checkpoints", lambda data: data[:-20]),
}


# === by whoever holds the key ===


def find(entries, what, **fields):
    """The last entry of this kind with these fields."""
    fits = lambda entry: entry["what"] == what and all(entry.get(name) == value for name, value in fields.items())
    return next(index for index in reversed(range(len(entries))) if fits(entries[index]))


def idle_end(entries):
    return entries[find(entries, "session_ended", reason="idle_timeout")]


def moved(by_ms):
    def move(entries):
        end = idle_end(entries)
        for cut in entries:
            if cut["what"] == "cut" and cut["session"] == end["session"]:
                cut["ended_at"] += by_ms
                cut["at"] += by_ms
        end["ended_at"] += by_ms
        end["at"] += by_ms

    return move


def renamed(entry):
    other = lambda text: hashlib.sha256(text.encode()).hexdigest()
    return dict(entry, session="ses_" + other(entry["session"])[:32], credential=other(entry["credential"]))


def revived(entries):
    end = find(entries, "session_ended", reason="idle_timeout")
    start = find(entries, "session_started", session=entries[end]["session"])
    entries.insert(end + 1, dict(entries[start], at=entries[end]["at"]))


def forgotten(entries):
    # The first, so that the program starts again after it.
    session = next(entry["session"] for entry in entries if entry.get("reason") == "idle_timeout" and entry["what"] == "session_ended")
    entries[:] = [entry for entry in entries if entry.get("session") != session or entry["what"] == "session_started"]


def blocked(entries):
    block = find(entries, "subject_blocked")
    start = find(entries, "session_started", subject=entries[block]["subject"])
    entries.insert(block + 1, dict(renamed(entries[start]), at=entries[block]["at"]))


def outlives_a_block(entries):
    end = entries[find(entries, "session_ended", reason="blocked")]
    end["ended_at"] += 60_000
    end["at"] += 60_000
    end["last_activity"] += 60_000


def longer(entries):
    entries[find(entries, "session_started")]["hard_end"] += 3_600_000


def less_late(entries):
    idle_end(entries)["lateness_us"] += 7_000


def cut_before(entries):
    cut = entries[find(entries, "cut", reason="idle_timeout")]
    cut["at"] = cut["ended_at"] - 1
    cut["lateness_us"] = 0


def clock_back(entries):
    entries[-1]["at"] -= 3_600_000


def after_a_stop(entries):
    stop = find(entries, "stopped")
    entries.insert(stop + 1, dict(renamed(entries[find(entries, "session_started")]), at=entries[stop]["at"]))


def many(entries):
    entries += [{"what": "a_kind_to_come", "at": entries[-1]["at"], "number": number} for number in range(66_000)]


HISTORIES = {
    "nothing": lambda entries: None,
    "many of a kind to come": many,
    "a session that ended starts again": revived,
    "a session ends twice": lambda entries: entries.insert(len(entries), dict(idle_end(entries), at=entries[-1]["at"])),
    "an end a millisecond late": moved(1),
    "an end a millisecond early": moved(-1),
    "a session that never ended": forgotten,
    "a start that is gone": lambda entries: entries.pop(find(entries, "session_started")),
    "a longer hard end": longer,
    "another lateness": less_late,
    "a cut before the end": cut_before,
    "a start while blocked": blocked,
    "a session that outlives a block": outlives_a_block,
    "a clock that goes back": clock_back,
    "a start after a stop": after_a_stop,
    "a kind of session that there is not": lambda entries: entries[find(entries, "session_started")].update(kind="ghost"),
    "a field that is gone": lambda entries: entries[find(entries, "session_ended")].pop("reason"),
}


def seed(path):
    """The secret out of a PKCS#8 file in PEM (RFC 8410): behind its last header of two bytes, 32 bytes."""
    with open(path, encoding="ascii") as file:
        der = base64.b64decode("".join(line for line in file.read().splitlines() if "-----" not in line))
    at = der.index(bytes.fromhex("04220420")) + 4
    return der[at : at + 32]


def write(folder, origin, entries, secret):
    tree, published = tiles.Tree(), Writer(folder, len(entries))
    for number in range(-(-len(entries) // tiles.WIDTH)):
        bundle = entries[number * tiles.WIDTH : (number + 1) * tiles.WIDTH]
        save(folder, tiles._path("entries", number, len(bundle)), b"".join(len(one).to_bytes(2, "big") + one for one in bundle))
    for entry in entries:
        leaf = tiles.leaf_hash(entry)
        tree.push(leaf)
        published.push(0, leaf)
    published.finish()
    text = "%s\n%d\n%s\n" % (origin, len(entries), base64.b64encode(tree.root()).decode())
    public, signature = ed25519.sign(secret, text.encode())
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
    note = "%s\n\u2014 %s %s\n" % (text, origin, base64.b64encode(key_id + signature).decode())
    save(folder, "checkpoint", note.encode())
    save(folder, "checkpoints", note.encode() + b"\n")


class Writer(tiles.Tiles):
    """Writes the tiles that would be checked."""

    def _check(self, level):
        number, hashes = self.levels[level]
        self.levels[level] = [number + 1, []]
        save(self.folder, tiles._path(str(level), number, len(hashes)), b"".join(hashes))


def save(folder, path, data):
    path = os.path.join(folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


main()
