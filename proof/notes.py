"""Signed notes, checkpoints and cosignatures: https://c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature."""

import base64
import binascii
import hashlib

import ed25519

LOG, WITNESS = 1, 4


class Wrong(Exception):
    """Something is not what it should be; the words say what."""


class Key:
    """A public key as it is handed on: `name+id+base64`."""

    def __init__(self, text):
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise Wrong("not a verifier key: want `name+id+base64`")
        self.name = parts[0]
        data = _base64(parts[2])
        if data is None or len(data) != 33 or data[0] not in (LOG, WITNESS):
            raise Wrong("not an Ed25519 key of a log (type 1) or a witness (type 4)")
        self.kind, self.public = data[0], data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        if not self.name or any(c.isspace() for c in self.name) or parts[1].lower() != self.id.hex():
            raise Wrong("the id of the key does not belong to its name and key: it was mistyped or changed")


class Note:
    """A text and the signatures under it, none of which has been checked yet."""

    def __init__(self, data):
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Wrong("not UTF-8") from None
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n") or any(c < " " and c != "\n" for c in whole):
            raise Wrong("not a signed note: want a text, an empty line, and signature lines")
        self.text = text + "\n"
        self.signatures = [_signature(line) for line in lines[:-1].split("\n")]

    def signed_by(self, key):
        """Whether this key signed; for a witness, when it says it did. None if it did not; Wrong if somebody else wrote that it did."""
        found = None
        for name, key_id, signature in self.signatures:
            if (name, key_id) != (key.name, key.id):
                continue
            message, when = self.text.encode(), True
            if key.kind == WITNESS:
                when = int.from_bytes(signature[:8], "big")
                message, signature = b"cosignature/v1\ntime %d\n" % when + message, signature[8:]
            if not _verifies(key.public, message, signature):
                raise Wrong("the signature in the name of `%s` is not by its key" % name)
            found = when if found is None else found
        return found


class Checkpoint:
    """The size and root of a log, signed by the log."""

    def __init__(self, data, log):
        note = Note(data)
        if note.signed_by(log) is None:
            raise Wrong("not signed by the key of `%s`" % log.name)
        lines = note.text[:-1].split("\n")
        root = _base64(lines[2]) if len(lines) >= 3 else None
        if root is None or len(root) != 32 or not lines[1].isascii() or not lines[1].isdigit() or "" in lines:
            raise Wrong("signed, but not a checkpoint: want lines with the origin, the size and the root")
        if lines[0] != log.name or str(int(lines[1])) != lines[1]:
            raise Wrong("the checkpoint is of `%s`, or its size is spelt in a way that it has not" % lines[0])
        self.note, self.size, self.root = note, int(lines[1]), root


def split_history(data):
    """The notes of a file that has one behind the other, an empty line between."""
    pieces = data.split(b"\n\n")
    if pieces[-1] != b"":
        raise Wrong("it does not end with a whole note")
    if len(pieces) % 2 != 1:
        raise Wrong("it is not one note behind the other")
    return [b"%s\n\n%s\n" % pair for pair in zip(pieces[0:-1:2], pieces[1:-1:2])]


def _signature(line):
    parts = line.split(" ")
    data = _base64(parts[2]) if len(parts) == 3 and parts[0] == "\u2014" else None
    if data is None or len(data) < 5 or not parts[1]:
        raise Wrong("not a signature line: `%s`" % line[:60])
    return parts[1], data[:4], data[4:]


def _base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # One spelling for one value: spare bits at the end have to be zero.
    return data if base64.b64encode(data).decode() == text else None


def _verifies(public, message, signature):
    """By the package `cryptography` where it is installed, which is a hundred times faster, else by what is here."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return ed25519.verifies(public, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def text(data):
    """As checkpoints write it."""
    return base64.b64encode(data).decode()
