#!/usr/bin/python3
"""Measures what docs/benchmarks.md reports: memory idle and at its peak, start to READY, CPU a page by stage, sizes; and the page pipeline against
Pillow, the library it replaces, as ratios in one run. Absolute times are this machine's; ratios and memory are what carries over."""
import argparse
import glob
import os
import resource
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
from service import SAMPLES, Service  # noqa: E402


def median(values):
    return sorted(values)[len(values) // 2]


def memory(pid):
    """PSS and private dirty of a process in KiB (smaps_rollup)."""
    fields = {}
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        for line in f:
            parts = line.split()
            if len(parts) == 3 and parts[2] == "kB":
                fields[parts[0].rstrip(":")] = int(parts[1])
    return fields["Pss"], fields["Private_Dirty"], fields["Rss"]


def spent(command, folder):
    """CPU seconds and peak RSS in KiB of a command. The peak is taken by time(1): a child of this interpreter would inherit its size."""
    peak = os.path.join(folder, "peak")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["time", "-f", "%M", "-o", peak] + command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(peak, encoding="ascii") as f:
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(f.read())


PILLOW = ("import sys\nfrom PIL import Image, ImageOps\nim = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert('RGB')\n"
          "im.thumbnail((2048, 2048), Image.LANCZOS)\nim.save(sys.argv[2], quality=85)\n")


def instructions(command, folder):
    """Callgrind's count in millions, or None without valgrind."""
    try:
        out = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + folder + "/callgrind"] + command, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, encoding="utf-8", check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(out.split("Collected : ")[1].split()[0]) / 1e6


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
        runs = [spent([capture, "transcode", source, small], folder) for _ in range(args.runs)]
        print("capture %s: CPU %.0f ms, peak RSS %.1f MiB" % (name, 1000 * median([r[0] for r in runs]), max(r[1] for r in runs) / 1024))
        said = subprocess.run([capture, "transcode", source, small], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=True).stdout
        print("  by stage: " + said.split(": ", 1)[1].strip())
        runs = [spent([ocr, small], folder) for _ in range(3)]
        print("ocr %s: CPU %.0f ms, peak RSS %.1f MiB" % (name, 1000 * median([r[0] for r in runs]), max(r[1] for r in runs) / 1024))

    print("\n## Against Pillow (LANCZOS to 2048, JPEG q85), whole processes, alternating; ratio is Pillow / pageferry-capture")
    for name in ("invoice-1", "invoice-5"):
        source = SAMPLES + "/%s.jpg" % name
        ratios, peaks = [], [0, 0]
        for _ in range(args.runs):
            ours = spent([capture, "transcode", source, folder + "/a.jpg"], folder)
            theirs = spent(["/usr/bin/python3", "-c", PILLOW, source, folder + "/b.jpg"], folder)
            ratios.append(theirs[0] / ours[0])
            peaks = [max(peaks[0], ours[1]), max(peaks[1], theirs[1])]
        print("%s: CPU ratio %.1f (median of %d pairs), peak RSS %.1f against %.1f MiB, bytes %d against %d" % (
            name, median(ratios), args.runs, peaks[0] / 1024, peaks[1] / 1024, os.path.getsize(folder + "/a.jpg"), os.path.getsize(folder + "/b.jpg")))
    count = instructions([capture, "transcode", SAMPLES + "/invoice-1.jpg", folder + "/c.jpg"], folder)
    print("callgrind, capture invoice-1 (A4 at 300 dpi): " + ("%.0f million instructions" % count if count else "no valgrind here"))

    print("\n## Sizes (text + data + bss, and the file stripped)")
    for program in ("pageferryd", "pageferry-capture", "pageferry-ocr", "pageferryctl"):
        size = subprocess.run(["size", os.path.join(build, program)], stdout=subprocess.PIPE, encoding="ascii", check=True).stdout.splitlines()[1].split()
        stripped = os.path.join(folder, program)
        subprocess.run(["strip", "-o", stripped, os.path.join(build, program)], check=True)
        print("%-18s %7d bytes, file %7d" % (program, int(size[3]), os.path.getsize(stripped)))


if __name__ == "__main__":
    main()
