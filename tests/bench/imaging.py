#!/usr/bin/python3
"""Measures page to 2048-pixel JPEG against vipsthumbnail, Pillow, ImageMagick and the floor (djpeg of the whole page and cjpeg of the finished
one: the codec with nothing between), in one run, tools alternating. CPU is user and system time of whole processes, as the median of the ratios
of pairs; instructions are callgrind's; quality is of the brightness, against a float Lanczos3. At the end each goal: reached or not.

    tests/bench/imaging.py --build build/amd64 [--quick] [--size NAME ...] [--pages FOLDER]

--quick: one page (of the first --size), few pairs, a minute at most. Pages are made into build/bench, which takes some minutes once."""
import argparse
import os
import subprocess
import sys
import tempfile

import pages
import quality
from measure import count_instructions, cpu, instruction_set, median, peak

PYTHON = ("import sys\nfrom PIL import Image\nim = Image.open(sys.argv[1]).convert('RGB')\n"
          "im.thumbnail((2048, 2048), Image.LANCZOS)\nim.save(sys.argv[2], quality=85)\n")
GOALS = []  # (what, measured, must, stretch), already worded and judged


def goal(what, value, must, stretch, shown="%.2f", least=False):
    """least: the value has to be at least that. None for a stretch that is not asked for."""
    def reached(limit):
        return value >= limit if least else value <= limit
    sign = ">=" if least else "<="
    words = [("must %s " + shown) % (sign, must) + (": reached" if reached(must) else ": NOT reached")]
    if stretch is not None:
        words.append(("stretch %s " + shown) % (sign, stretch) + (": reached" if reached(stretch) else ": not reached"))
    GOALS.append("%-58s %9s   %s" % (what, shown % value, ", ".join(words)))


def skipped(what, why):
    GOALS.append("%-58s %9s   not measured: %s" % (what, "-", why))


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.capture = os.path.join(args.build, "pageferry-capture")

    def out(self, name):
        return os.path.join(self.folder, name)

    def ours(self, page, result, *options):
        return [[self.capture, "transcode", *options, page, result]]

    # ---- a page by every tool ---------------------------------------------------------------------------------------------------------
    def tools(self, page):
        """name: (the processes of one page, its result or None, pairs)."""
        p, few = self.out, 3 if self.args.quick else None
        found = {
            "pageferry": (self.ours(page, p("ours.jpg")), p("ours.jpg"), few or 15),
            "vipsthumbnail": ([["vipsthumbnail", page, "--size", "2048x2048", "-o", p("vips.jpg[Q=85]")]], p("vips.jpg"), few or 15),
            "floor": ([["djpeg", "-outfile", "/dev/null", page], ["cjpeg", "-quality", "85", "-outfile", p("floor.jpg"), p("ours.ppm")]],
                      p("floor.jpg"), few or 15),
            "Pillow JPEG": ([["/usr/bin/python3", "-c", PYTHON, page, p("pillow.jpg")]], p("pillow.jpg"), few or 7),
        }
        if not self.args.quick:
            found["Pillow PNG"] = ([["/usr/bin/python3", "-c", PYTHON, page, p("pillow.png")]], p("pillow.png"), 5)
            found["ImageMagick"] = ([["/usr/bin/convert", page, "-filter", "Lanczos", "-resize", "2048x2048>", "-quality", "85", "-sampling-factor",
                                      "4:2:0", p("magick.jpg")]], p("magick.jpg"), 5)
        return found

    def race(self, tools):
        """{tool: median of its CPU / ours}, rounds in which every tool runs once."""
        ratios = {name: [] for name in tools}
        for turn in range(max(pairs for _, _, pairs in tools.values())):
            own = None
            for name, (commands, _, pairs) in tools.items():
                if turn < pairs:
                    took = sum(cpu(c) for c in commands)
                    own = took if name == "pageferry" else own
                    ratios[name].append(took / own)
        return {name: median(r) for name, r in ratios.items()}

    def compare(self, size, page):
        args = self.args
        for command in self.ours(page, self.out("ours.jpg")) + [["djpeg", "-outfile", self.out("ours.ppm"), self.out("ours.jpg")]]:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        tools = self.tools(page)
        ratio = self.race(tools)
        full = quality.luma(page)
        counts, scores = {}, {}
        print("\n## %s (%dx%d, %d bytes)" % (os.path.basename(page), full.shape[1], full.shape[0], os.path.getsize(page)))
        print("%-14s %9s %12s %9s %9s %8s %8s" % ("tool", "CPU ratio", "Minstr", "peak MiB", "bytes", "PSNR dB", "SSIM"))
        small = quality.luma(self.out("ours.jpg"))
        reference = quality.shrunk(full, small.shape[1], small.shape[0])
        for name, (commands, result, _) in tools.items():
            counted = name in ("pageferry", "floor") or (not args.quick and size == "a4-300" and name != "ImageMagick")
            counts[name] = sum(count_instructions(c, self.folder) for c in commands) if counted else None
            rss = max(peak(c, self.folder) for c in commands)
            if name != "floor" and result.endswith(".jpg"):
                got = quality.luma(result)
                scores[name] = (quality.psnr(got, reference), quality.ssim(got, reference)) if got.shape == reference.shape else None
            score = scores.get(name)
            print("%-14s %9.2f %12s %9.1f %9d %8s %8s" % (
                name, ratio[name], "%.0f" % counts[name] if counts[name] else "-", rss / 1024, os.path.getsize(result),
                "%.2f" % score[0] if score else "-", "%.4f" % score[1] if score else "-"), flush=True)
        return ratio, counts, scores

    # ---- goals of the table -----------------------------------------------------------------------------------------------------------
    def sizes(self):
        args = self.args
        for size in args.size:
            found = [self.compare(size, pages.jpeg(args.pages, size, kind, sampling))
                     for kind, sampling in ((("article", "420"),) if args.quick else (("article", "420"), ("invoice", "422")))]
            ratio, counts, _ = found[0]
            goal("CPU of vipsthumbnail / ours, %s" % size, min(r["vipsthumbnail"] for r, _, _ in found), 3.3,
                 4.0 if size in ("a4-300", "13mp") else None, "%.2f", True)
            if size != "4k":
                must, stretch = (1.0, 0.9) if size == "a4-600" else (1.3, 1.2)
                goal("instructions, ours / floor, %s (%s)" % (size, instruction_set()), counts["pageferry"] / counts["floor"], must, stretch)
            if size == "a4-300":
                page = pages.jpeg(args.pages, size, "article", "420")
                more = count_instructions(self.ours(page, self.out("a.jpg"), "--sense", "gate,blank")[0], self.folder)
                goal("glass gate and blank check, of the page's instructions, %", 100 * (more / counts["pageferry"] - 1), 10, None, "%.1f")

    @staticmethod
    def read_by_all(path, shape):
        """Other decoders than libjpeg's program read what we write."""
        for command in (["vips", "avg", path], ["/usr/bin/convert", path, "null:"],
                        ["/usr/bin/python3", "-c", "import sys\nfrom PIL import Image\nprint(Image.open(sys.argv[1]).convert('RGB').size)", path]):
            said = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
        assert said.strip() == "(%d, %d)" % (shape[1], shape[0]), said

    def senses(self):
        """What it costs to look at the page, of all instructions."""
        for size in self.args.size:
            command = self.ours(pages.jpeg(self.args.pages, size, "article", "420"), self.out("a.jpg"))[0]
            counts = [count_instructions(command + ["--sense", words], self.folder) for words in ("none", "gate", "gate,blank,hash")]
            if counts[0]:
                goal("instructions of the glass gate, of a page's, %s (%s)" % (size, instruction_set()), counts[1] / counts[0] - 1, 0.1, None, "%.3f")
                print("all of page sense, %s: %.3f" % (size, counts[2] / counts[0] - 1), flush=True)

    def looks(self):
        """SSIM and PSNR against Pillow's, every page."""
        args = self.args
        worst = {}
        print("\n## Quality: ours less Pillow's JPEG q85")
        for size in args.size:
            for kind in pages.KINDS[:1] if args.quick else pages.KINDS:
                for sampling in ("420",) if args.quick else pages.SAMPLINGS:
                    page = pages.jpeg(args.pages, size, kind, sampling)
                    subprocess.run(self.ours(page, self.out("a.jpg"))[0], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
                    subprocess.run(["/usr/bin/python3", "-c", PYTHON, page, self.out("b.jpg")], check=True)
                    a, b = quality.luma(self.out("a.jpg")), quality.luma(self.out("b.jpg"))
                    reference = quality.shrunk(quality.luma(page), a.shape[1], a.shape[0])
                    delta = [f(a, reference) - f(b, reference) for f in (quality.psnr, quality.ssim)]
                    bytes_of = [os.path.getsize(self.out(f)) for f in ("a.jpg", "b.jpg")]
                    print("%-24s PSNR %+.2f dB, SSIM %+.4f, bytes %+.1f %%" % (
                        os.path.basename(page), delta[0], delta[1], 100 * (bytes_of[0] / bytes_of[1] - 1)), flush=True)
                    self.read_by_all(self.out("a.jpg"), a.shape)
                    for name, value in zip(("PSNR", "SSIM"), delta):
                        worst[name] = min(worst.get(name, 9), value)
        goal("SSIM against Pillow's JPEG q85, worst page", worst["SSIM"], -0.0005, 0, "%.4f", True)
        goal("PSNR against Pillow's JPEG q85, worst page, dB", worst["PSNR"], -0.5, 0, "%.2f", True)

    def progressive(self):
        """Peak of the progressive page in its place, or why it is refused."""
        command = self.ours(self.out("progressive.jpg"), self.out("a.jpg"))[0]
        tried = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", check=False)
        return tried.stderr.strip().split(": ")[-1] if tried.returncode else "%5.1f" % (peak(command, self.folder) / 1024)

    def memory(self):
        args = self.args
        files = [pages.jpeg(args.pages, size, "article", s) for size in args.size for s in pages.SAMPLINGS]
        if not args.quick:
            files.append(pages.huge(args.pages))
        print("\n## Peak RSS, MiB (upright; turned by EXIF 6; --square yes: deskewed or cropped with perspective; progressive)")
        upright, rotated, square = [], [], []
        for path in files:
            with open(path, "rb") as f:
                data = f.read()
            with open(self.out("turned.jpg"), "wb") as f:
                f.write(pages.turned(data, 6))
            upright.append(peak(self.ours(path, self.out("a.jpg"))[0], self.folder) / 1024)
            rotated.append(peak(self.ours(self.out("turned.jpg"), self.out("a.jpg"))[0], self.folder) / 1024)
            square.append(peak(self.ours(path, self.out("a.jpg"), "--square", "yes")[0], self.folder) / 1024)
            with open(self.out("progressive.jpg"), "wb") as f:
                subprocess.run(["jpegtran", "-progressive", path], stdout=f, check=True)
            print("%-24s %5.1f  %5.1f  %5.1f  %s" % (os.path.basename(path), upright[-1], rotated[-1], square[-1], self.progressive()), flush=True)
        goal("peak RSS, baseline JPEG, upright, MiB" + ("" if args.quick else ", up to 65 MP"), max(upright), 5, 4, "%.1f")
        goal("peak RSS, turned, MiB", max(rotated), 12, None, "%.1f")
        goal("peak RSS, deskewed or with perspective, MiB", max(square), 32, None, "%.1f")

    def raw(self):
        """Raw camera frames. The hand tool takes them by the geometry in their name."""
        args = self.args
        limits = {"4k": (270, 250), "13mp": (380, 350)}
        for size in (s for s in args.size if s in limits):
            count = {}
            for form in ("nv12", "yuyv"):
                frame = pages.raw(args.pages, size, "form", form)
                command = [self.capture, "--source", "replay:" + frame, "--out", self.out("raw")]
                tried = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", check=False)
                if tried.returncode:
                    skipped("raw %s, %s" % (form, size), tried.stderr.strip().splitlines()[-1][:120] if tried.stderr.strip() else "refused")
                    continue
                count[form] = count_instructions(command, self.folder)
            if "nv12" in count:
                goal("million instructions, raw NV12, %s (%s)" % (size, instruction_set()), count["nv12"], *limits[size], "%.0f")
            if len(count) == 2:
                goal("instructions, YUYV / NV12, %s" % size, count["yuyv"] / count["nv12"], 1.25, 1.15)

    # ---- the tables alone -------------------------------------------------------------------------------------------------------------
    def encoded(self, how, q, width, height, planes):
        path = self.out("tables.jpg")
        subprocess.run([os.path.join(self.args.build, "bench/encode"), how, str(q), str(width), str(height), planes, path], check=True)
        return os.path.getsize(path), quality.luma(path)

    def tables(self):
        """Bytes at equal SSIM: the same planes encoded by capture/jpegenc.c, and with the standard tables at the quality that gives that SSIM."""
        args, saved = self.args, {}
        print("\n## Encoder alone: bytes against standard tables at equal SSIM, and PSNR there")
        for size in args.size:
            for kind in pages.KINDS[:1] if args.quick else pages.KINDS:
                y, planes = pages.write_planes(pages.jpeg(args.pages, size, kind, "420"), self.out("planes"))
                height, width = y.shape
                curve = []
                for q in (54, 60, 66, 70, 72, 74, 75, 76, 78, 80, 82, 84, 85, 86, 88, 90, 91, 92, 93, 94, 95):
                    length, got = self.encoded("standard", q, width, height, planes)
                    curve.append((quality.ssim(got, y), length, quality.psnr(got, y)))
                words = []
                for q in (75, 85, 92):
                    length, got = self.encoded("ours", q, width, height, planes)
                    same, db = quality.at_ssim(curve, quality.ssim(got, y))
                    saved.setdefault(q, []).append(1 - length / same)
                    words.append("q%d %+.1f %% %+.2f dB" % (q, 100 * (length / same - 1), quality.psnr(got, y) - db))
                print("%-18s %s" % (size + " " + kind, "; ".join(words)), flush=True)
        goal("bytes saved at equal SSIM, q85, mean, %", 100 * sum(saved[85]) / len(saved[85]), 4, 8, "%.1f", True)


PARTS = ["sizes", "senses", "looks", "memory", "raw", "tables"]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--quick", action="store_true", default=os.environ.get("QUICK", "") not in ("", "0"))
    ap.add_argument("--size", nargs="+", choices=list(pages.SIZES), help="default: all; with --quick a4-300")
    ap.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    ap.add_argument("--pages", default=os.path.join(pages.ROOT, "build/bench"))
    args = ap.parse_args()
    args.build = os.path.abspath(args.build)
    args.size = args.size or (["a4-300"] if args.quick else list(pages.SIZES))
    with tempfile.TemporaryDirectory(prefix="pageferry-bench-") as folder:
        bench = Bench(args, folder)
        for part in args.part:
            getattr(bench, part)()
    print("\n## Goals")
    print("\n".join(GOALS))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
