#!/usr/bin/python3
"""Page sense, from the glass to the operator: what seems wrong with a page is said at once and stays with it; nothing is refused by it."""
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
    with Service(capture_section(folder_of(blurred=blurred(), empty=blank()), GlassGate="no", BlankPages="ignore", Square="no")) as s:
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


def test_the_event_says_it():
    with Service(capture_section(folder_of(blurred=blurred()))) as s, s.client() as v:
        events = [reply["event"] for reply in v.more("io.pageferry.Scan")]
        (event,) = [e for e in events if e["kind"] == "page-accepted"]
        assert event["reason"] == "blurred" and event["message"] == "looks blurred: scan it again?", event
        assert event["page"]["sense"]["gate"]["verdict"] == "blurred"


suite.main()
