#!/usr/bin/python3
"""A second look at a small part of a page: cut from what came from the source, at its resolution, from where it lies on the page."""
import base64
import io
import os
import subprocess
import tempfile

import suite
from PIL import Image, ImageChops, ImageDraw, ImageStat
from service import Service, sample
from varlink import VarlinkError

SPOT = (1800, 400, 2100, 480)  # of the original, 2480 by 3508


def crop(s, page, *box):
    r = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "crop", page, *map(str, box)], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=False)
    return r.returncode, Image.open(io.BytesIO(r.stdout)).convert("RGB") if r.stdout else r.stderr.decode()


def scan(folder, picture, **keys):
    picture.save(os.path.join(folder, "a.jpg"), quality=92)
    return Service({"Capture": dict({"Source": "replay:" + folder, "KeepOriginal": "yes", "Square": "no"}, **keys)})


def scanned(s):
    subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "scan", "--no-wait"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                   check=True, timeout=60)
    (page,) = s.call("List")["pages"]
    return page


def error_of(call):
    try:
        call()
    except VarlinkError as e:
        return e.name.rpartition(".")[2]
    return None


def marked():
    picture = Image.open(sample("receipt-1")).convert("RGB")
    assert picture.size == (2480, 3508)
    ImageDraw.Draw(picture).rectangle(SPOT, fill=(200, 20, 30))
    return picture


def test_cut_from_the_original_at_its_resolution():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, scan(folder, marked()) as s:
        page = scanned(s)
        assert (page["width"], page["height"]) == (1448, 2048), page
        per = 3508 / 2048
        box = [round(SPOT[0] / per) + 10, round(SPOT[1] / per) + 10, 100, 20]
        code, image = crop(s, page["id"], *box)
        assert code == 0 and abs(image.width - 100 * per) <= 2 and abs(image.height - 20 * per) <= 2, (code, image)
        assert all(abs(a - b) < 6 for a, b in zip(ImageStat.Stat(image).mean, (200, 20, 30))), ImageStat.Stat(image).mean
        # What reaches over the page's edge ends there; the whole page has every pixel of the original, and is more than one answer.
        assert crop(s, page["id"], 1400, 2000, 200, 200)[1].size == (83, 83)
        code, text = crop(s, page["id"], 0, 0, 1448, 2048)
        assert code == 0 or "ask for less" in text, text
        reply = s.call("Crop", page=page["id"], x=0, y=0, width=1, height=1)
        assert base64.b64decode(reply["jpeg"])[:2] == b"\xff\xd8" and reply["width"] in (2, 3), reply


def test_turned_as_the_page_was():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, scan(folder, marked(), Rotate="90") as s:
        page = scanned(s)
        per = 3508 / 2048
        x, y = (3508 - SPOT[3]) / per, SPOT[0] / per
        code, image = crop(s, page["id"], round(x) + 5, round(y) + 5, 30, 150)
        assert code == 0 and all(abs(a - b) < 6 for a, b in zip(ImageStat.Stat(image).mean, (200, 20, 30))), ImageStat.Stat(image).mean


def test_found_where_the_page_lay_on_the_desk():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, scan(folder, Image.open(sample("invoice-5")), Square="yes") as s:
        page = scanned(s)
        with Image.open("%s/pages/%s.jpg" % (s.spool, page["id"])) as kept:
            seen = kept.convert("L").crop((60, 80, 760, 280))
        code, image = crop(s, page["id"], 60, 80, 700, 200)
        assert code == 0, image
        off = ImageStat.Stat(ImageChops.difference(image.convert("L").resize(seen.size, Image.LANCZOS), seen)).mean[0]
        elsewhere = ImageStat.Stat(ImageChops.difference(ImageChops.offset(seen, 0, 40), seen)).mean[0]
        assert off < elsewhere / 2 and image.width > 700, (off, elsewhere, image.size)


def test_what_cannot_be():
    with Service() as s:
        (page,) = s.submit(sample("receipt-1"), "receipt")
        assert error_of(lambda: s.call("Crop", page=page, x=0, y=0, width=10, height=10)) == "NoOriginal"
        code, text = crop(s, page, 0, 0, 10, 10)
        assert code == 1 and "KeepOriginal=" in text, text
        for box in ((-1, 0, 1, 1), (0, 5000, 1, 1), (0, 0, 0, 1), (0, 0, 1, 100000)):
            assert error_of(lambda b=box: s.call("Crop", page=page, x=b[0], y=b[1], width=b[2], height=b[3])) == "InvalidParameter", box
        assert crop(s, page, "a", 0, 1, 1)[0] == 2 and crop(s, "20000101T000000-aaaaaa", 0, 0, 1, 1)[0] == 1


suite.main()
