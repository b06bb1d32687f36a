#!/usr/bin/python3
"""Measures what docs/benchmarks.md reports: memory idle and at its peak, start to READY, CPU a page by stage, sizes. The page pipeline against its
peers is tests/bench/imaging.py's. Absolute times are this machine's; ratios and memory are what carries over."""
import argparse
import glob
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
from measure import cpu, median, peak  # noqa: E402
from service import SAMPLES, Service  # noqa: E402


def memory(pid):
    """PSS and private dirty of a process in KiB (smaps_rollup)."""
    fields = {}
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        for line in f:
            parts = line.split()
            if len(parts) == 3 and parts[2] == "kB":
                fields[parts[0].rstrip(":")] = int(parts[1])
    return fields["Pss"], fields["Private_Dirty"], fields["Rss"]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--runs", type=int, default=7)
    args = ap.parse_args()
    build = os.path.abspath(args.build)
    folder = tempfile.mkdtemp(prefix="pageferry-bench-", dir="/tmp")

    print("## The service, idle and at work")
    starts = []
    for _ in range(args.runs):
        with Service(build=build) as s:
            s.stop()
            before = time.monotonic()
            s.start()
            starts.append(time.monotonic() - before)
    print("start to READY, median of %d: %.0f ms" % (args.runs, 1000 * median(starts)))
    with Service(build=build) as s:
        pss, dirty, rss = memory(s.process.pid)
        print("pageferryd idle: PSS %.1f MiB, private dirty %.1f MiB, RSS %.1f MiB" % (pss / 1024, dirty / 1024, rss / 1024))
        files = sorted(glob.glob(SAMPLES + "/*.jpg"))
        for f in files:
            s.submit(f)
        s.wait_states(list(s.pages()), {"done"})
        with open("/proc/%d/stat" % s.process.pid, encoding="ascii") as f:
            stat = f.read().rsplit(")", 1)[1].split()
        ticks = os.sysconf("SC_CLK_TCK")
        own, children = (int(stat[11]) + int(stat[12])) / ticks, (int(stat[13]) + int(stat[14])) / ticks
        pss, dirty, rss = memory(s.process.pid)
        print("after %d pages: PSS %.1f MiB, private dirty %.1f MiB, RSS %.1f MiB" % (len(files), pss / 1024, dirty / 1024, rss / 1024))
        print("CPU a page: daemon %.0f ms, helpers (capture and OCR) %.0f ms" % (1000 * own / len(files), 1000 * children / len(files)))

    print("\n## Helpers, a page each")
    capture, ocr = build + "/pageferry-capture", build + "/pageferry-ocr"
    for name in ("invoice-1", "invoice-5"):
        source, small = SAMPLES + "/%s.jpg" % name, folder + "/%s.jpg" % name
        command = [capture, "transcode", source, small]
        print("capture %s: CPU %.0f ms, peak RSS %.1f MiB" % (name, 1000 * median([cpu(command) for _ in range(args.runs)]), peak(command, folder) / 1024))
        said = subprocess.run([capture, "transcode", source, small], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=True).stdout
        print("  by stage: " + said.split(": ", 1)[1].strip())
        print("ocr %s: CPU %.0f ms, peak RSS %.1f MiB" % (name, 1000 * median([cpu([ocr, small]) for _ in range(3)]), peak([ocr, small], folder) / 1024))

    print("\n## Sizes (text + data + bss, and the file stripped)")
    for program in ("pageferryd", "pageferry-capture", "pageferry-ocr", "pageferryctl"):
        size = subprocess.run(["size", os.path.join(build, program)], stdout=subprocess.PIPE, encoding="ascii", check=True).stdout.splitlines()[1].split()
        stripped = os.path.join(folder, program)
        subprocess.run(["strip", "-o", stripped, os.path.join(build, program)], check=True)
        print("%-18s %7d bytes, file %7d" % (program, int(size[3]), os.path.getsize(stripped)))


if __name__ == "__main__":
    main()
