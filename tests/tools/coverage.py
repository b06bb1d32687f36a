#!/usr/bin/python3
"""coverage.py BUILD [-v]: lines and branches of the spool, ledger and courier files that the suites reached, by gcc's counters in BUILD.

Fails when they reach less than 95 % of the lines or 90 % of the branches. -v prints the lines that were not reached, and those of which
a branch was not. A branch counts as gcov counts it at -O0; one that only an exception could take is none.
"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = (r"daemon/(spool\w*|accept|pages|jobs|document|beside|jpegcomment|reconcile|rebuild|mend|adopt|quarantine|keep|room|taken|db\w*|delivery|"
         r"ledger\w*|receipt|heads\w*|daily|budget|usage|courier\w*|render|backoff|pace|rate)\.c")
LINES_MIN, BRANCHES_MIN = 95, 90


def measured(build):
    """{file: {line: [count, {branch number: count}]}}: what was compiled into a file, counted over all objects."""
    files = {}
    for data in sorted(glob.glob(os.path.join(os.path.abspath(build), "obj/daemon/*.gcda"))):
        if not re.fullmatch(FILES, "daemon/" + os.path.basename(data)[:-5] + ".c"):
            continue
        out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", data], cwd=ROOT, check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for f in json.loads(out)["files"]:
            if re.fullmatch(FILES, f["file"]):
                add_lines(files.setdefault(f["file"], {}), f["lines"])
    return files


def add_lines(into, lines):
    for line in lines:
        seen = into.setdefault(line["line_number"], [0, {}])
        seen[0] += line["count"]
        for n, b in enumerate(b for b in line["branches"] if not b["throw"]):
            seen[1][n] = seen[1].get(n, 0) + b["count"]


def counts(lines):
    branches = [c for _, b in lines.values() for c in b.values()]
    return sum(1 for c, _ in lines.values() if c), len(lines), sum(1 for c in branches if c), len(branches)


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def missed(name, lines):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        text = f.read().splitlines()
    for number in sorted(lines):
        count, branches = lines[number]
        if not count or any(c == 0 for c in branches.values()):
            print("    %s %4d: %s" % ("branch" if count else "line  ", number, text[number - 1].strip()))


def main():
    verbose = "-v" in sys.argv[2:]
    files = measured(sys.argv[1])
    total = [0, 0, 0, 0]
    for name in sorted(files):
        c = counts(files[name])
        total = [a + b for a, b in zip(total, c)]
        print("%-32s %5.1f %% of %4d lines %5.1f %% of %4d branches" % (name, percent(c[0], c[1]), c[1], percent(c[2], c[3]), c[3]))
        if verbose:
            missed(name, files[name])
    lines, branches = percent(total[0], total[1]), percent(total[2], total[3])
    print("%-32s %5.1f %% of %4d lines %5.1f %% of %4d branches" % ("together", lines, total[1], branches, total[3]))
    if not files or lines < LINES_MIN or branches < BRANCHES_MIN:
        print("not ok coverage: %d %% of lines and %d %% of branches are needed" % (LINES_MIN, BRANCHES_MIN))
        return 1
    print("ok coverage")
    return 0


if __name__ == "__main__":
    sys.exit(main())
