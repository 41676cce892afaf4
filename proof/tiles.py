"""An exported log: https://c2sp.org/tlog-tiles, over the tree of RFC 6962, section 2.1."""

import hashlib
import os

from notes import Wrong

WIDTH = 256


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The right edge of a tree that grows: the roots of its full subtrees, largest first."""

    def __init__(self):
        self.size, self.edge = 0, []

    def push(self, leaf):
        size, self.size = self.size, self.size + 1
        while size & 1:
            leaf = node_hash(self.edge.pop(), leaf)
            size >>= 1
        self.edge.append(leaf)

    def root(self):
        if not self.edge:
            return hashlib.sha256(b"").digest()
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = node_hash(left, root)
        return root


def entries(folder, size):
    """Every entry, in order, out of the bundles of a log of this size."""
    for number in range(-(-size // WIDTH)):
        width = min(WIDTH, size - number * WIDTH)
        path = _path("entries", number, width)
        data = _read(folder, path)
        for index in range(number * WIDTH, number * WIDTH + width):
            length = int.from_bytes(data[:2], "big")
            if len(data) < 2 + length:
                raise Wrong("entry %d: `%s` ends in the middle of it" % (index, path))
            yield data[2 : 2 + length]
            data = data[2 + length :]
        if data:
            raise Wrong("`%s` has more than its %d entries" % (path, width))


class Tiles:
    """The hashes that a log publishes beside its entries, held against those that the entries give."""

    def __init__(self, folder, size):
        self.folder, self.size, self.levels, self.checked = folder, size, [], 0

    def push(self, level, value):
        if len(self.levels) == level:
            self.levels.append([0, []])
        row = self.levels[level]
        row[1].append(value)
        if len(row[1]) == WIDTH:
            tree = Tree()
            for one in row[1]:
                tree.push(one)
            self._check(level)
            self.push(level + 1, tree.root())

    def finish(self):
        """Those at the right end, which are not full."""
        for level, row in enumerate(self.levels):
            if row[1]:
                self._check(level)

    def _check(self, level):
        number, hashes = self.levels[level]
        self.levels[level] = [number + 1, []]
        path = _path(str(level), number, len(hashes))
        data = _read(self.folder, path)
        for at, value in enumerate(hashes):
            if data[32 * at : 32 * at + 32] != value:
                first = (number * WIDTH + at) * WIDTH**level
                raise Wrong("`%s` does not have the hash that entry %d gives" % (path, first))
        if len(data) != 32 * len(hashes):
            raise Wrong("`%s` has %d bytes, and should have %d" % (path, len(data), 32 * len(hashes)))
        self.checked += 1


def _path(level, number, width):
    groups = []
    while not groups or number > 0:
        groups.insert(0, ("x%03d" if groups else "%03d") % (number % 1000))
        number //= 1000
    path = "/".join(["tile", level] + groups)
    return path if width == WIDTH else "%s.p/%d" % (path, width)


def _read(folder, path):
    try:
        with open(os.path.join(folder, path), "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise Wrong("`%s` is not there" % path) from None
