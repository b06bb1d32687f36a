#!/usr/bin/python3
"""arm64.py --build build/amd64 --arm build/arm64 --emulator "qemu-aarch64 -L SYSROOT" [--pages FOLDER]: instructions of a page on 64-bit ARM, counted under
emulation (tests/bench/count.c), against those of this machine (callgrind's); and whether both make the same JPEG."""
import argparse
import os
import subprocess
import sys
import tempfile

import pages
from measure import count_instructions, instruction_set


def emulated(emulator, plugin, command):
    said = subprocess.run(emulator + ["-plugin", plugin] + command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8").stderr
    if "Collected : " not in said:  # the statically linked qemu-user-static takes no plugins
        sys.exit("%s counted nothing (is it qemu-user?): %s" % (emulator[0], said.strip()))
    return int(said.split("Collected : ")[1].split()[0]) / 1e6


def same(a, b):
    with open(a, "rb") as f, open(b, "rb") as g:
        return f.read() == g.read()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--arm", required=True)
    ap.add_argument("--emulator", required=True)
    ap.add_argument("--pages", default=os.path.join(pages.ROOT, "build/bench"))
    args = ap.parse_args()
    folder = tempfile.mkdtemp(prefix="pageferry-arm64-", dir="/tmp")
    plugin, ours, theirs = folder + "/count.so", folder + "/ours.jpg", folder + "/theirs.jpg"
    # QEMU 9 and later take plugins from version 2 on.
    version = subprocess.run(args.emulator.split() + ["--version"], stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout.split()[2]
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-DPLUGIN_VERSION=%d" % (1 if int(version.split(".")[0]) < 9 else 2), "-o", plugin,
                    os.path.join(pages.ROOT, "tests/bench/count.c")], check=True)
    os.makedirs(args.pages, exist_ok=True)
    worst, differ = 0, 0
    for size in pages.SIZES:
        page = pages.jpeg(args.pages, size, "article", "420")
        arm = emulated(args.emulator.split(), plugin, [args.arm + "/pageferry-capture", "transcode", page, theirs])
        here = count_instructions([args.build + "/pageferry-capture", "transcode", page, ours], folder)
        worst, differ = max(worst, arm / here), differ + (not same(ours, theirs))
        print("%-7s arm64 %4.0f million, here (%s) %4.0f: %.2f times; %s" % (
            size, arm, instruction_set(), here, arm / here, "the same JPEG" if same(ours, theirs) else "another JPEG"), flush=True)
    print("goal: at most 1.5 times, and the same JPEG: " + ("reached" if worst <= 1.5 and not differ else "not reached"))
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
