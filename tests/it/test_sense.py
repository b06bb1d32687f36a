#!/usr/bin/python3
"""Page sense, from the glass to the operator: what seems wrong with a page is said at once and stays with it; nothing is refused by it."""
import json
import os
import subprocess
import tempfile

from PIL import Image, ImageDraw, ImageFilter

import suite
from service import Service, sample


def ctl(s, *args):
    r = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       stdin=subprocess.DEVNULL, encoding="utf-8", timeout=120, check=False)
    return r


def folder_of(**pages):
    """A folder to scan: NAME.jpg of each picture."""
    folder = tempfile.mkdtemp(prefix="pageferry-glass-", dir="/tmp")
    for name, image in pages.items():
        image.save(os.path.join(folder, name + ".jpg"), quality=92)
    return folder


def page():
    return Image.open(sample("invoice-1")).convert("RGB").resize((1240, 1754))


def blurred():
    return page().filter(ImageFilter.GaussianBlur(4))


def blank():
    image = Image.new("RGB", (1240, 1754), (246, 246, 242))
    ImageDraw.Draw(image).ellipse((600, 800, 602, 802), fill=(90, 90, 90))  # dust
    return image


def capture_section(folder, **keys):
    return {"Capture": dict({"Source": "replay:" + folder}, **keys)}


def captured(s):
    return s.call("Status")["lights"]["captured"]


def test_a_blurred_page_is_told_and_kept():
    with Service(capture_section(folder_of(blurred=blurred()))) as s:
        r = ctl(s, "scan", "--no-wait")
        assert r.returncode == 0 and "looks blurred: scan it again?" in r.stderr, r
        assert captured(s) == "triple" and s.call("Status")["lights"]["safe"] == "on"
        (listed,) = s.call("List")["pages"]
        assert listed["sense"]["gate"]["verdict"] == "blurred" and listed["sense"]["blank"]["blank"] is False, listed
        assert listed["id"] in r.stdout
        assert "blurred" in ctl(s, "list").stdout
        shown = [line.split() for line in ctl(s, "show", listed["id"]).stdout.splitlines()]
        assert ["looks", "blurred"] in shown, shown
        s.wait_states([listed["id"]], {"done", "held"})  # it is sent as it is
        s.configure(capture_section(folder_of(good=page())))
        s.stop()
        s.start()
        r = ctl(s, "scan", "--no-wait")
        assert r.returncode == 0 and r.stderr == "", r
        assert captured(s) == "on"


def test_the_light_goes_with_the_next_scan():
    folder = folder_of(a=blurred())
    with Service(capture_section(folder)) as s:
        ctl(s, "scan", "--no-wait")
        assert captured(s) == "triple"
        page().save(os.path.join(folder, "a.jpg"), quality=92)
        ctl(s, "scan", "--no-wait")
        assert captured(s) == "on"
        ctl(s, "extract", "--no-wait", folder_of(b=blurred()) + "/b.jpg")
        assert captured(s) == "on"  # a file is not what lies on the glass


def test_nobody_looks_where_it_is_switched_off():
    with Service(capture_section(folder_of(blurred=blurred(), empty=blank()), GlassGate="no", PageHash="no", BlankPages="ignore", Square="no")) as s:
        r = ctl(s, "scan", "--no-wait")
        assert r.returncode == 0 and r.stderr == "", r
        assert captured(s) == "on"
        assert all("sense" not in p for p in s.call("List")["pages"])


def test_blank_pages_are_sent_or_held():
    folder = folder_of(a=blank(), b=page())
    with Service(capture_section(folder)) as s:
        r = ctl(s, "scan", "--no-wait")
        assert "looks blank" in r.stderr and captured(s) == "on", r
        marked = [p["sense"]["blank"]["blank"] for p in s.call("List")["pages"]]
        assert sorted(marked) == [False, True] and "blank" in ctl(s, "list").stdout
    with Service(capture_section(folder, BlankPages="hold")) as s:
        r = ctl(s, "scan")
        assert r.returncode == 1 and "held: blank page" in r.stdout, r
        (held,) = [p for p in s.call("List")["pages"] if p["state"] == "held"]
        assert held["sense"]["blank"]["blank"] and held["tries"] == 0
        assert ctl(s, "retry", held["id"]).returncode == 0
        s.wait_states([held["id"]], {"done"})


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def test_thumbnail_and_original_go_with_the_page():
    folder = folder_of(a=page())
    with Service(capture_section(folder, KeepOriginal="yes")) as s:
        assert ctl(s, "scan").returncode == 0
        (listed,) = s.call("List")["pages"]
        beside = os.path.join(s.spool, "beside")
        names = [listed["id"] + "." + kind + ".jpg" for kind in ("original", "thumbnail")]
        assert sorted(os.listdir(beside)) == names, os.listdir(beside)
        assert read(beside, names[0]) == read(folder, "a.jpg")
        with Image.open(os.path.join(beside, names[1])) as small:
            assert max(small.size) == 256
        assert listed["originalBytes"] == os.path.getsize(os.path.join(folder, "a.jpg")) and listed["thumbnailBytes"] > 0
        assert len(listed["sense"]["hash"]) == 16
        assert any(line.split()[:1] == ["original"] for line in ctl(s, "show", listed["id"]).stdout.splitlines())
        s.stop()
        assert s.fsck() == []
        out = os.path.join(s.folder, "export")
        assert s.spool_verb("export", out).returncode == 0
        assert read(out, "originals", names[0]) == read(folder, "a.jpg")
        assert json.loads(read(out, "manifest.json"))["pages"][0]["original"] == names[0]
        s.start()
        assert ctl(s, "drop", "--why", "test", "--yes", listed["id"]).returncode == 0
        assert os.listdir(beside) == []


def test_nothing_lies_beside_a_page_where_it_is_switched_off():
    with Service(capture_section(folder_of(a=page()), Thumbnails="no", PageHash="no")) as s:
        assert ctl(s, "scan").returncode == 0
        assert os.listdir(os.path.join(s.spool, "beside")) == []
        assert "hash" not in s.call("List")["pages"][0]["sense"]


def test_the_event_says_it():
    with Service(capture_section(folder_of(blurred=blurred()))) as s, s.client() as v:
        events = [reply["event"] for reply in v.more("io.pageferry.Scan")]
        (event,) = [e for e in events if e["kind"] == "page-accepted"]
        assert event["reason"] == "blurred" and event["message"] == "looks blurred: scan it again?", event
        assert event["page"]["sense"]["gate"]["verdict"] == "blurred"


suite.main()
