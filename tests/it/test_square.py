#!/usr/bin/python3
"""Pages are laid straight: scans by configuration, and photographs whose corners are known."""
import io
import json
import math
import os
import subprocess
import tempfile
from collections import Counter

from PIL import Image, ImageChops, ImageStat

import helpers
import scenes
import suite
from service import Service, build_folder, sample


def square(jpeg):
    frame, _, data = helpers.transcode(jpeg, square=True)
    return frame, data


def words(jpeg):
    frames, data = helpers.ask("pageferry-ocr", {"verb": "ocr", "language": "eng", "max_pixels": 40000000}, jpeg)
    assert frames[-1]["ok"], frames
    return Counter(w["t"] for w in json.loads(data))


def as_jpeg(image):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


def captured(s):
    return [json.loads(r["capture"]) for r in s.rows("SELECT capture FROM pages ORDER BY seq")]


def page_image(s):
    name, = os.listdir(s.spool + "/pages")
    image = Image.open(os.path.join(s.spool, "pages", name))
    image.load()
    return image


def scanned(**capture):
    """invoice-5 lies on a desk; its corners in the upright frame are as tests/samples/generate.py put them."""
    with Service({"Capture": {"Source": "replay:" + sample("invoice-5"), **capture}}) as s:
        s.call("Scan")
        record, = captured(s)
        return record, page_image(s)


def test_a_scan_is_cut_out_and_turned_as_configured():
    record, image = scanned(Square="yes")
    found = record["sense"]["square"]
    assert found["done"] == "cropped" and record["rotate"] == 0, record
    wide = 2100 * math.sin(math.radians(0.6))
    truth = [20, 420 + wide, 20 + 2100 * math.cos(math.radians(0.6)), 420]
    assert all(abs(a - b) < 2.5 for a, b in zip(found["quad"], truth)), (found, truth)
    assert abs(found["angle"] + 0.6) < 0.05 and image.size == (1448, 2048), (found, image.size)
    record, turned = scanned(Square="yes", Rotate="180")
    assert record["rotate"] == 180 and turned.size == image.size, record
    off = ImageStat.Stat(ImageChops.difference(turned.transpose(Image.ROTATE_180).convert("L"), image.convert("L"))).mean[0]
    assert off < 2, off
    record, sideways = scanned(Square="yes", Rotate="90")
    assert record["rotate"] == 90 and sideways.size == (2048, 1448), (record, sideways.size)


def test_it_can_be_switched_off():
    record, image = scanned(Square="no")
    assert "square" not in record.get("sense", {}) and image.size == (1152, 2048), (record, image.size)


def test_a_file_is_laid_straight_too():
    with Service({"Capture": {"Square": "yes"}}) as s:
        s.submit(sample("receipt-3"))
        record, = captured(s)
        assert record["sense"]["square"]["done"] == "deskewed" and abs(record["sense"]["square"]["angle"] + 0.8) < 0.05, record


def test_the_hand_tool_says_what_it_did():
    with tempfile.TemporaryDirectory() as folder:
        tool = [os.path.join(build_folder(), "pageferry-capture"), "transcode", "--square", "yes", "--flatten", "yes", "--contrast", "yes"]
        out = subprocess.run(tool + [sample("invoice-5"), folder + "/a.jpg"], stdout=subprocess.PIPE, encoding="utf-8", check=True, timeout=60).stdout
        done = json.loads(out.splitlines()[1].split("done ")[1])
        assert done["square"]["done"] == "cropped" and done["flatten"]["gain"] >= 1, out


def test_corners_of_photographs():
    """Photographs of eight megapixels, perspective, a desk with things on it, uneven light, noise: corners within 2 pixels, the sheet's shape within
    2 %."""
    worst = 0
    for seed, name in enumerate(("invoice-1", "receipt-2", "statement-2", "invoice-6")):
        with Image.open(sample(name)) as page:
            picture, corners = scenes.photograph(page, seed)
        frame, _ = square(as_jpeg(picture))
        found = frame["capture"]["sense"]["square"]
        assert found["done"] == "cropped", (seed, name, found)
        off = max(abs(a - b) for a, b in zip(found["quad"], [v for c in corners for v in c]))
        aspect = frame["height"] / frame["width"]
        print("# seed %d %s: corners within %.1f pixels, sides as 1 to %.3f" % (seed, name, off, aspect))
        worst = max(worst, off)
        assert off < 2 and abs(aspect - math.sqrt(2)) < 0.03, (seed, name, off, aspect, found)
    print("# worst corner: %.1f pixels" % worst)


def same_words(want, jpeg):
    return sum((want & words(jpeg)).values())


def test_words_of_a_photograph():
    """What OCR reads on the page cut out of its photograph, or laid level, is what it reads on the scan."""
    with open(sample("statement-1"), "rb") as f:
        want = words(f.read())
    with Image.open(sample("statement-1")) as page:
        pictures = {"photograph": scenes.photograph(page, 21, (3264, 4352))[0],
                    "scan turned by 5 degrees": page.rotate(-5, Image.BICUBIC, fillcolor=(255, 255, 255))}
    for name, picture in pictures.items():
        before = as_jpeg(picture)
        _, after = square(before)
        _, _, plain = helpers.transcode(before)
        got = same_words(want, after)
        print("# %s: of %d words of the scan %d are read as it came, %d laid straight" % (name, sum(want.values()), same_words(want, plain), got))
        assert got >= sum(want.values()) * 0.94, name


def test_nothing_is_cut_where_no_edge_is():
    for name in ("invoice-1", "invoice-2", "invoice-3", "invoice-4", "invoice-6", "receipt-1", "receipt-2", "receipt-4", "statement-1", "statement-2",
                 "statement-3"):
        with open(sample(name), "rb") as f:
            jpeg = f.read()
        frame, squared = square(jpeg)
        assert frame["capture"]["sense"]["square"]["done"] == "nothing", (name, frame)
        _, _, plain = helpers.transcode(jpeg)
        assert squared == plain, name


if __name__ == "__main__":
    suite.main()
