#!/usr/bin/python3
"""The demonstration: the sample pages through a private pageferryd in the foreground, offline, to fields on the screen.

What is printed of a page is what `pageferryctl extract` prints; here only the ground truth is compared.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests/lib"), os.path.join(ROOT, "tests/tools")]

import score  # noqa: E402
from service import SAMPLES, Service  # noqa: E402


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--json", help="write the scores here")
    args = ap.parse_args()
    folder = tempfile.mkdtemp(prefix="pageferry-demo-", dir=os.environ.get("TMPDIR", "/tmp"))
    files = sorted(glob.glob(SAMPLES + "/*.jpg"))
    s = Service({"Capture": {"Type": "auto"}}, build=os.path.abspath(args.build), folder=folder)
    print("pageferryd runs in %s, offline, with nothing configured but where things are." % folder, flush=True)
    try:
        if not s.start():
            sys.exit("demo: pageferryd did not start:\n" + s.read_log())
        run = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "extract",
                              *(os.path.relpath(f, ROOT) for f in files)], cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
        pages = s.pages()
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
    finally:
        s.stop()
    totals = {}
    for page in pages.values():
        with open(os.path.join(SAMPLES, os.path.splitext(page["name"])[0] + ".json"), encoding="utf-8") as f:
            truth = json.load(f)
        result = s.result(page["id"])
        score.add(totals, truth, result["fields"])
    print("\nAgainst the ground truth (a cell of a table is a field):")
    for condition in sorted(totals, key=lambda c: (c != "clean", c)):
        t = totals[condition]
        print("  %-13s %3d of %3d fields right (%5.1f %%), of them marked verified: %d of %d" % (
            condition, t[0], t[1], 100 * t[0] / t[1], t[2], t[3]))
    right, count, verified_right, verified = (sum(t[i] for t in totals.values()) for i in range(4))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"conditions": totals, "right": right, "fields": count, "verified_right": verified_right, "verified": verified}, f)
    print("Results: %s/spool/results  Pages: %s/spool/pages  Right: %d of %d fields, %d of %d verified." % (
        folder, folder, right, count, verified_right, verified))
    sys.exit(0 if run.returncode == 0 and len(pages) == len(files) else 1)


if __name__ == "__main__":
    main()
