#!/usr/bin/python3
"""Makes the tables of capture/jpegtables.c: quantisation and Huffman codes for pages.

    tests/tools/jpegtables.py search [--steps N]    the luma quantisation table with the fewest bytes at the SSIM of the standard's quality 85
    tests/tools/jpegtables.py tables >capture/jpegtables.c

It learns from pages that tests/bench does not measure: other seeds, other kinds, and tests/samples/pages. They are made into build/bench/train.
`search` starts at TABLE below, changes each of the 64 steps a little, and moves those where a byte saved costs less SSIM than elsewhere; what it
prints can go into TABLE. `tables` codes the training pages at several qualities with it, counts the symbols, and gives each symbol a code, seen or
not, so that any picture can be coded."""
import argparse
import glob
import os
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/bench"))
import pages  # noqa: E402
import quality  # noqa: E402
from PIL import Image  # noqa: E402

TRAINING = [("a4-300", "article", 31), ("a4-300", "invoice", 32), ("a4-300", "statement", 33), ("a4-600", "form", 38), ("4k", "form", 34),
            ("4k", "receipt", 35), ("13mp", "article", 36), ("13mp", "statement", 37)]
# What codes are made for: around the default; and a little of 98, so that rare symbols are told apart.
QUALITIES = {70: 1, 80: 2, 85: 4, 90: 2, 98: 0.1}

# ITU-T T.81, annex K.1, in rows: where the search began, and the chroma table.
ANNEX_K_LUMA = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99]).reshape(8, 8)
ANNEX_K_CHROMA = np.full((8, 8), 99)
ANNEX_K_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
DCT = np.array([[np.sqrt((1 if k == 0 else 2) / 8) * np.cos((2 * n + 1) * k * np.pi / 16) for n in range(8)] for k in range(8)], np.float32)


# ---- pages as planes ----------------------------------------------------------------------------------------------------------------------
def training():
    """Planes (Y, Cb, Cr) of the training pages at 2048 pixels."""
    folder = os.path.join(ROOT, "build/bench/train")
    os.makedirs(folder, exist_ok=True)
    paths = []
    for size, kind, seed in TRAINING:
        path = os.path.join(folder, "%s-%s-%d.png" % (size, kind, seed))
        if not os.path.exists(path):
            image = pages.page(size, kind, seed)
            image.thumbnail((2048, 2048), Image.LANCZOS)
            image.save(path + ".new", "PNG", compress_level=1)
            os.rename(path + ".new", path)
        paths.append(path)
    for path in paths + sorted(glob.glob(os.path.join(ROOT, "tests/samples/pages/*.jpg")))[::3]:
        yield [p.astype(np.float32) for p in pages.planes_of(path)]


def blocks(plane):
    h, w = (n - n % 8 for n in plane.shape)
    return plane[:h, :w].reshape(h // 8, 8, w // 8, 8).swapaxes(1, 2)


def transformed(plane):
    return DCT @ (blocks(plane) - 128) @ DCT.T


def restored(coefficients):
    b = DCT.T @ coefficients @ DCT + 128
    return np.clip(np.rint(b), 0, 255).astype(np.float32).swapaxes(1, 2).reshape(b.shape[0] * 8, b.shape[1] * 8)


def scaled(table, q):
    """libjpeg's: 50 is the table itself, 100 all ones."""
    percent = 5000 // q if q < 50 else 200 - 2 * q
    return np.clip((table * percent + 50) // 100, 1, 255)


# ---- symbols ------------------------------------------------------------------------------------------------------------------------------
def bits(v):
    """How many bits the magnitude takes: the category of T.81."""
    return np.ceil(np.log2(np.abs(v) + 1)).astype(int)


def symbols(quantised):
    """Counts of DC and of AC symbols of one plane, blocks in rows."""
    flat = quantised.reshape(-1, 64)[:, ZIGZAG].astype(int)
    dc = np.bincount(bits(np.diff(flat[:, 0], prepend=0)), minlength=12)
    ac = np.zeros(256, int)
    block, at = np.nonzero(flat[:, 1:])
    first = np.diff(block, prepend=-1) != 0
    run = np.where(first, at, np.diff(at, prepend=0) - 1)
    ac += np.bincount((run % 16) * 16 + bits(flat[:, 1:][block, at]), minlength=256)
    ac[0xf0] += (run // 16).sum()
    ac[0x00] += (flat[:, 63] == 0).sum()
    return dc, ac


def extra_bits(dc, ac):
    return float((dc * np.arange(12)).sum() + (ac * (np.arange(256) % 16)).sum())


def entropy(counts):
    seen = counts[counts > 0]
    return float((seen * np.log2(seen.sum() / seen)).sum())


# ---- quantisation -------------------------------------------------------------------------------------------------------------------------
class Search:
    """Crops of the training pages: how bytes of their luma and SSIM compare with the standard table at quality 85, for a table of real numbers."""

    def __init__(self, side=128, each=12):
        rng = np.random.default_rng(1)
        self.y = []
        for planes in training():
            y, crops = planes[0], []
            for _ in range(each):
                top, left = (8 * rng.integers(0, (n - side) // 8) for n in y.shape)
                crops.append(y[top:top + side, left:left + side])
            self.y.append(np.vstack(crops))
        self.dct = [transformed(y) for y in self.y]
        self.standard = [(1, 1)] * len(self.y)
        self.standard = self.pages(scaled(ANNEX_K_LUMA, 85))

    def pages(self, table):
        """(bytes, 1 - SSIM) of each page, as parts of the standard's."""
        found = []
        for y, dct, (bytes_then, loss_then) in zip(self.y, self.dct, self.standard):
            q = np.rint(dct / table)
            dc, ac = symbols(q)
            size = entropy(dc) + entropy(ac) + extra_bits(dc, ac)
            found.append((size / bytes_then, (1 - quality.ssim(restored(q * table), y)) / loss_then))
        return found

    def measure(self, table):
        """ln of bytes and of loss of each page, against the standard's."""
        return np.log(np.array(self.pages(table)))

    def weigh(self):
        """How much each page counts (clean ones less), and what a part of loss is worth in parts of bytes: as it is along the standard's scale."""
        self.share = np.array([1.0 if i < len(TRAINING) else 0.25 for i in range(len(self.y))])
        self.share /= self.share.sum()
        fine, coarse = (self.measure(ANNEX_K_LUMA * 0.3 * f) for f in (0.85, 1.18))
        self.rate = np.clip(-(coarse[:, 0] - fine[:, 0]) / (coarse[:, 1] - fine[:, 1]), 0.3, 2)

    def score(self, found):
        """ln of bytes at the standard's loss, mean of the pages."""
        return float((self.share * (found[:, 0] + self.rate * found[:, 1])).sum())

    def worth(self, table, found):
        """ln of bytes saved for SSIM lost, of each step; rows and columns alike, for pages lie either way."""
        worth = np.zeros((8, 8))
        for u in range(8):
            for v in range(u, 8):
                larger = table.copy()
                larger[u, v] *= 1.15
                larger[v, u] = larger[u, v]
                change = self.measure(larger) - found
                saved, lost = -(self.share * change[:, 0]).sum(), (self.share * self.rate * change[:, 1]).sum()
                worth[u, v] = worth[v, u] = np.clip(np.log(max(saved, 2e-6) / max(lost, 2e-6)), -1.2, 1.2)
        return worth


def search(steps):
    s = Search()
    s.weigh()
    table, pace = TABLE * 0.3, 0.35
    found = s.measure(table)
    print("start: %.2f %%" % (100 * s.score(found)), flush=True)
    for i in range(steps):
        changed = np.minimum(table * np.exp(pace * s.worth(table, found)), LARGEST * 0.3)
        for _ in range(6):  # the mean loss stays what it was
            drift = (s.share * (s.measure(changed)[:, 1] - found[:, 1])).sum()
            changed = np.minimum(changed * np.exp(-drift), LARGEST * 0.3)
        now = s.measure(changed)
        print("step %d: %.2f %%" % (i, 100 * s.score(now)))
        print(repr(np.round(changed / 0.3, 1)), flush=True)
        if s.score(now) <= s.score(found):
            table, found = changed, now
        else:
            pace /= 2


LARGEST = 100  # step at quality 50: larger ones save little more and blur strokes
# What the search made of annex K's table in two runs, the second from the first's result; then, tried by hand, the steps of fine detail (beyond 4.5
# from the corner) a fifth larger, and all scaled so that at quality 85 even the page that liked the change least (much empty paper) is as like its
# original as with annex K's.
TABLE = np.array([
     24,  21,  19,  18,  19,  28,  35,  44,
     21,  19,  17,  18,  21,  39,  45,  53,
     19,  17,  18,  20,  31,  45,  48,  61,
     18,  18,  20,  29,  47,  50,  53,  67,
     19,  21,  31,  47,  50,  53,  54,  85,
     28,  39,  45,  50,  53,  62,  75, 100,
     35,  45,  48,  53,  54,  75, 100, 100,
     44,  53,  61,  67,  85, 100, 100, 100,
]).reshape(8, 8)


# ---- codes --------------------------------------------------------------------------------------------------------------------------------
def code_lengths(weights, longest=16):
    """Package-merge: the shortest mean length of a prefix code with no word above `longest` bits. One word more, never used, takes the code of
    all ones, which T.81 forbids."""
    words = sorted((w, (i,)) for i, w in enumerate(list(weights) + [0.0]))
    packages = []
    for _ in range(longest):
        merged = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(packages[0::2], packages[1::2])]
        packages = sorted(words + merged)
    lengths = [0] * len(words)
    for _, members in packages[:2 * len(words) - 2]:
        for i in members:
            lengths[i] += 1
    most = lengths.index(max(lengths))  # the spare word is as long as any
    lengths[most] = lengths[-1]
    return lengths[:-1]


def trained():
    """[(DC weights, AC weights)] of luma and of chroma. A page with more symbols counts more, by the root: busy pages are the large ones. Clean
    ones (tests/samples) are for their symbols, not for their number."""
    found = [[np.zeros(12), np.zeros(256)], [np.zeros(12), np.zeros(256)]]
    for page, planes in enumerate(training()):
        share = 1 if page < len(TRAINING) else 0.2
        for i, plane in enumerate(planes):
            coefficients = transformed(plane)
            for q, weight in QUALITIES.items():
                counts = symbols(np.rint(coefficients / scaled(TABLE if i == 0 else ANNEX_K_CHROMA, q)))
                for total, count in zip(found[i > 0], counts):
                    total += share * weight * count / max(1, sum(c.sum() for c in counts)) ** 0.5
    return found


# What 8-bit pictures can have: 12 categories of DC differences, 10 of AC behind runs of up to 15, the end of a block, and 16 zeros.
DC_SYMBOLS = list(range(12))
AC_SYMBOLS = [0x00] + [run << 4 | size for run in range(16) for size in range(1, 11)] + [0xf0]


def c_code(name, symbols_of, weights):
    """A struct jpegtables_code."""
    lengths = code_lengths([max(weights[s], 1e-9) for s in symbols_of])
    order = ["0x%02x" % s for _, s in sorted(zip(lengths, symbols_of))]
    lines = ["\t{ /* %s */" % name, "\t\t.bits = {%s}," % ", ".join(str(lengths.count(n)) for n in range(17)), "\t\t.values = {"]
    lines += ["\t\t\t%s," % ", ".join(order[i:i + 14]) for i in range(0, len(order), 14)]
    return "\n".join(lines) + "\n\t\t},\n\t},"


def tables():
    luma, chroma = trained()
    print("/* Made by `tests/tools/jpegtables.py tables`, which says how. */")
    print('#include "capture/jpegtables.h"\n')
    print("const unsigned int jpegtables_luma[64] = {")
    for row in TABLE:
        print("\t%s," % ", ".join(map(str, row)))
    print("};\n\nconst struct jpegtables_code jpegtables_dc[2] = {")
    print(c_code("luma", DC_SYMBOLS, luma[0]))
    print(c_code("chroma", DC_SYMBOLS, chroma[0]))
    print("};\n\nconst struct jpegtables_code jpegtables_ac[2] = {")
    print(c_code("luma", AC_SYMBOLS, luma[1]))
    print(c_code("chroma", AC_SYMBOLS, chroma[1]))
    print("};")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("what", choices=["search", "tables"])
    ap.add_argument("--steps", type=int, default=12)
    args = ap.parse_args()
    if args.what == "search":
        search(args.steps)
    else:
        tables()


if __name__ == "__main__":
    main()
