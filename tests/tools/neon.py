#!/usr/bin/python3
"""neon.py OBJDUMP OBJ: in the arm64 objects below OBJ, every loop that takes time is one of vectors: those marked HOT, which the compiler makes, and
those of capture/kernels_neon.c. Looked for in the disassembly: a loop at least half of whose instructions name a vector register."""
import glob
import os
import re
import subprocess
import sys

BY_HAND = "capture/kernels_neon.c"
FUNCTION = re.compile(r"^[0-9a-f]+ <([\w.]+)>:")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(\S+)\t?(.*)")
VECTOR = re.compile(r"\bv\d+\.|\bq\d+\b|\bd\d+\b")


def hot_functions():
    """Pairs of source file and function."""
    for path in sorted(glob.glob("capture/*.c")):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for name in re.findall(r"^HOT [^(;]*?(\w+)\(", text, re.M):
            yield path, name
    with open(BY_HAND, encoding="utf-8") as f:
        for name in re.findall(r"^\t?\.?\w* ?= ?(neon_\w+),?", f.read(), re.M):
            yield BY_HAND, name


def disassembled(objdump, path):
    """By function: pairs of address and text."""
    found, name = {}, None
    for line in subprocess.run([objdump, "-d", "--no-show-raw-insn", path], stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout.splitlines():
        if FUNCTION.match(line):
            name = FUNCTION.match(line).group(1)
            found[name] = []
        m = INSTRUCTION.match(line)
        if m and name:
            found[name].append((int(m.group(1), 16), m.group(2), m.group(3)))
    return found


def best_loop(code):
    """The largest share of vector instructions of any loop: from where a branch goes back to, up to that branch. None without a loop."""
    best = None
    for i, (at, what, to) in enumerate(code):
        m = re.search(r"\b([0-9a-f]+) <", to)
        if not re.match(r"(b(\.\w+)?|cbn?z|tbn?z)$", what) or not m or int(m.group(1), 16) > at:
            continue
        body = [operands for address, _, operands in code[:i + 1] if address >= int(m.group(1), 16)]
        share = sum(1 for o in body if VECTOR.search(o)) / len(body)
        best = max(share, best or 0)
    return best


def main():
    objdump, folder = sys.argv[1:]
    failed, seen, code = 0, 0, {}
    for path, name in hot_functions():
        if path not in code:
            code[path] = disassembled(objdump, os.path.join(folder, path[:-2] + ".o"))
        share = best_loop(code[path].get(name, []))
        seen += 1
        if share is None or share < 0.5:
            failed += 1
            print("not ok vectors of %s: %s" % (name, "no loop in %s" % path if share is None else "%.0f %% vector instructions in its best loop" % (100 * share)))
    if seen < 8:
        failed += 1
        print("not ok vectors: only %d functions were found to look at" % seen)
    if not failed:
        print("ok vectors: all %d loops that take time are of vectors" % seen)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
