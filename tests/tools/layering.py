#!/usr/bin/python3
"""Who may include whom (docs/architecture.md, "Folders"): fails on any other include, project or third-party."""
import glob
import os
import re
import sys

os.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

MAY = {
    "base": [], "hal": ["base"], "extract": ["base"], "cloud": ["base", "extract"], "capture": ["base"], "ocr": ["base"],
    "daemon": ["base", "hal", "extract", "cloud"], "ctl": ["base"],
}
# Third-party headers and the only files that may include them.
THIRD_PARTY = {
    r"systemd/sd-journal\.h": r"base/journal\.c", r"systemd/sd-daemon\.h": r"daemon/\w+\.c", r"systemd/sd-event\.h": r"daemon/\w+\.[ch]",
    r"ini\.h": r"base/ini\.c", r"mbedtls/.*": r"base/crypto(_key)?\.c", r"cjson/.*": r"base/json\.h",
    r"curl/.*": r"cloud/http(_tls)?\.[ch]", r"sqlite3\.h": r"daemon/db\.c",
    r"(jpeglib|jerror)\.h": r"(capture/jpeg\w*|ocr/\w+)\.[ch]", r"png\.h": r"capture/png\w*\.c",
    r"linux/videodev2\.h": r"(capture/v4l2\w*\.[ch]|tests/.*)", r"(libv4lconvert|libv4l-plugin)\.h": r"capture/v4l2_convert\.c", r"(tesseract|leptonica)/.*": r"ocr/\w+\.c",
}
KERNEL = r"(linux|sys|netinet|arpa)/"


def problems():
    for path in sorted(f for d in MAY for f in glob.glob(d + "/*.[ch]")):
        folder = path.split("/")[0]
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            m = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if not m:
                continue
            quote, name = m.groups()
            where = "%s:%d: " % (path, number)
            if quote == '"':
                if "/" not in name:
                    if name not in ("schema.sql.h", "migrate3.sql.h", "io.pageferry.varlink.h", "build-date.h"):
                        yield where + "write the folder: \"%s\"" % name
                elif name.split("/")[0] != folder and name.split("/")[0] not in MAY[folder]:
                    yield where + "%s/ may not include %s" % (folder, name)
                continue
            rule = next((r for r in THIRD_PARTY if re.fullmatch(r, name)), None)
            if rule and not re.fullmatch(THIRD_PARTY[rule], path):
                yield where + "<%s> belongs in %s alone" % (name, THIRD_PARTY[rule].replace("\\", ""))
            if not rule and "/" in name and not re.match(KERNEL, name):
                yield where + "<%s> is not a library the project uses: see tests/tools/layering.py" % name


found = list(problems())
for p in found:
    print("not ok layering: " + p)
if not found:
    print("ok layering")
sys.exit(1 if found else 0)
