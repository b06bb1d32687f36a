#!/usr/bin/python3
"""How many fields the OCR on the device gets right under a setting of [Capture], on drawn pages other than the samples.

    fields.py --build BUILD [--rounds 18] [--only KIND] [Key=Value,Key=Value ...]    each argument is one setting; "-" is the defaults

With --only the pages are all of one document type, which is asked for; image.flatten=true and image.contrast=true are members of that type then.

A round is an invoice, a receipt and a statement in one condition (clean, low contrast, noisy, camera, skewed); the same rounds give
the same pages. OCR is chaotic: a change of one step of one pixel moves a whole table of one page, so that differences below some
3 % of the fields say nothing.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, f) for f in ("tests/lib", "tests/tools", "tests/samples")]

import generate  # noqa: E402
import score  # noqa: E402
from service import Service  # noqa: E402

CONDITIONS = ["clean", "clean", "low-contrast", "low-contrast", "noisy", "noisy", "camera", "camera", "skewed"]
KINDS = [("invoice", generate.invoice), ("receipt", generate.receipt), ("bank-statement", generate.statement)]


def draw(folder, rounds, only):
    for i in range(rounds):
        for k, (kind, made) in enumerate(KINDS):
            n = 3 * i + k
            if only and kind != only:
                continue
            generate.save(folder, "%s-%03d" % (kind, i), made(9000 + n, i), CONDITIONS[i % len(CONDITIONS)], 1000 + n)


def change_type(folder, kind, image):
    with open(os.path.join(ROOT, "configs/documents", kind + ".json"), encoding="utf-8") as f:
        changed = dict(json.load(f), image=image)
    os.makedirs(folder + "/documents", exist_ok=True)
    with open("%s/documents/%s.json" % (folder, kind), "w", encoding="utf-8") as f:
        json.dump(changed, f)


def run(build, pages, setting, only):
    """Totals by condition: [right, fields, verified and right, verified]."""
    keys = dict(pair.split("=", 1) for pair in setting.split(",")) if setting != "-" else {}
    image = {k.partition(".")[2]: keys.pop(k) == "true" for k in list(keys) if k.startswith("image.")}
    totals = {}
    s = Service({"Capture": {"Type": only or "auto", **keys}, "Backend ocr": {"Timeout": "10min"}}, build=build)
    if image:
        change_type(s.folder, only, image)
    with s:
        subprocess.run([os.path.join(build, "pageferryctl"), "--socket", s.socket, "extract", "--type", only or "auto", *sorted(glob.glob(pages + "/*.jpg"))],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
        for page in s.pages().values():
            with open(os.path.join(pages, os.path.splitext(os.path.basename(page["name"]))[0] + ".json"), encoding="utf-8") as f:
                truth = json.load(f)
            score.add(totals, truth, s.result(page["id"])["fields"] if page["state"] == "done" else {})
    return totals


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", required=True)
    ap.add_argument("--rounds", type=int, default=18)
    ap.add_argument("--only", choices=[kind for kind, _ in KINDS])
    ap.add_argument("settings", nargs="*", default=["Square=no", "Square=yes"])
    args = ap.parse_args()
    with tempfile.TemporaryDirectory(prefix="pageferry-fields-") as folder:
        draw(folder, args.rounds, args.only)
        for setting in args.settings:
            totals = run(os.path.abspath(args.build), folder, setting, args.only)
            print("%-24s" % setting, "  ".join("%s %d/%d" % (c, t[0], t[1]) for c, t in sorted(totals.items())),
                  " all %d of %d, verified %d of %d" % tuple(sum(t[i] for t in totals.values()) for i in range(4)), flush=True)


if __name__ == "__main__":
    main()
