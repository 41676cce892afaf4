#!/usr/bin/env python3
"""Published vectors: RFC 8032 (section 7.1), the log of RFC 6962's tests, and a checkpoint and a cosignature made by Go's libraries."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ed25519
import notes
import tiles

LOG = "example.com/log+cc714670+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
WITNESS = "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"
NOTE = (
    "example.com/log\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\u2014 example.com/log "
    "zHFGcFgWv11lWNcaencFBAIP2jaYDmzzTqQYktcWjHonYVMYj1dpRwXFs7qAp9G9NVl6Q4L2TIziuY0FeM1j5xOVYQ0=\n"
)
LINE = (
    "\u2014 witness.example/w1 BNLYMwAAAABrBbOKreOC1HGif04IZJN0QQ18pbp3/hWXnPkseavCxP5g7ioGbeoj"
    "U5gIus8FVWJ4sv0gQ60gNiS4mCQlhmb9GfXtDA==\n"
)
SIGNED = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
]
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOT_OF_EIGHT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


class Vectors(unittest.TestCase):
    def test_ed25519(self):
        for seed, message, signature in SIGNED:
            seed, message, signature = map(bytes.fromhex, (seed, message, signature))
            public, made = ed25519.sign(seed, message)
            self.assertEqual(made, signature)
            self.assertTrue(ed25519.verifies(public, message, signature))
            self.assertFalse(ed25519.verifies(public, message + b"x", signature))
            for at in (0, 31, 32, 63):
                turned = bytearray(signature)
                turned[at] ^= 1
                self.assertFalse(ed25519.verifies(public, message, bytes(turned)))
            scalar = int.from_bytes(signature[32:], "little") + ed25519.ORDER
            self.assertFalse(ed25519.verifies(public, message, signature[:32] + scalar.to_bytes(32, "little")))

    def test_tree(self):
        tree = tiles.Tree()
        self.assertEqual(tree.root().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        for leaf in LEAVES:
            tree.push(tiles.leaf_hash(bytes.fromhex(leaf)))
        self.assertEqual(tree.root().hex(), ROOT_OF_EIGHT)

    def test_notes(self):
        log, witness = notes.Key(LOG), notes.Key(WITNESS)
        both = notes.Checkpoint((NOTE + LINE).encode(), log)
        self.assertEqual((both.size, both.root.hex()), (8, ROOT_OF_EIGHT))
        self.assertEqual(both.note.signed_by(witness), 1795535754)
        self.assertIsNone(notes.Checkpoint(NOTE.encode(), log).note.signed_by(witness))
        for wrong in ("GfXu", "gfXt"):
            forged = notes.Checkpoint((NOTE + LINE.replace("GfXt", wrong)).encode(), log)
            self.assertRaises(notes.Wrong, forged.note.signed_by, witness)
        for text in (NOTE.replace("\n8\n", "\n9\n"), NOTE.replace("\n8\n", "\n08\n"), NOTE[:-1], NOTE + "x", "", "\n\n", NOTE.replace("YQ0=", "YQ1=")):
            self.assertRaises(notes.Wrong, notes.Checkpoint, text.encode(), log)
        for key in (LOG.replace("cc714670", "cc714671"), LOG[:-4], "", "a+b", WITNESS.replace("+BD", "+CD")):
            self.assertRaises(notes.Wrong, notes.Key, key)

    def test_history(self):
        self.assertEqual(notes.split_history((NOTE + "\n" + NOTE + LINE + "\n").encode()), [NOTE.encode(), (NOTE + LINE).encode()])
        self.assertRaises(notes.Wrong, notes.split_history, NOTE.encode())


unittest.main()
