#!/usr/bin/python3
"""Before and after of what capture does to pages and says of them, as one picture for a person to look at and agree with.

    make contact-sheet, or: contact_sheet.py OUT.png    (PYTHONPATH=tests/lib PAGEFERRY_BUILD=build/...)

Every cell: the frame as it came with the edges that were found in red, the page that is kept, and what the record says.
"""
import io
import os
import random
import sys

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

import helpers
import scenes
from service import sample

WIDE, HIGH, TEXT, GAP, ACROSS = 250, 350, 62, 10, 4
FONT = "/usr/share/fonts/truetype/liberation/LiberationSans-%s.ttf"


def jpeg(image, quality=88):
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def page(name):
    with Image.open(sample(name)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def stored(name):
    with open(sample(name), "rb") as f:
        return f.read()


def photo(name, seed, **more):
    return jpeg(scenes.photograph(page(name), seed, **more)[0])


def cut_off():
    picture, _ = scenes.photograph(page("invoice-2"), 5)
    return jpeg(ImageChops.offset(picture, -700, 0).crop((0, 0, picture.width - 700, picture.height)))


def two_sheets():
    """A second sheet lies against the page: where one ends is not certain."""
    frame = Image.new("RGB", (2000, 2400), (64, 54, 46))
    sheet = page("invoice-1").resize((1200, 1697), Image.LANCZOS)
    frame.paste(sheet.rotate(1, Image.BICUBIC, expand=True, fillcolor=(64, 54, 46)), (100, 300))
    frame.paste(page("receipt-1").resize((1200, 1697), Image.LANCZOS), (1290, 330))
    return jpeg(frame)


def turned(name, degrees):
    return jpeg(page(name).rotate(-degrees, Image.BICUBIC, fillcolor=(255, 255, 255)))


def faint(name, ink):
    return jpeg(page(name).point(lambda v: ink + v * (232 - ink) // 255))


def shaded(name, paper):
    """Coloured paper under a lamp at one corner, with the shade of a hand."""
    image = ImageChops.multiply(page(name), Image.new("RGB", (2480, 3508), paper))
    light = Image.radial_gradient("L").resize((5200, 7200)).crop((0, 0, 2480, 3508)).point(lambda v: 255 - v * 120 // 255)
    shade = Image.new("L", image.size, 255)
    ImageDraw.Draw(shade).ellipse([1500, 2300, 3300, 4300], fill=165)
    light = ImageChops.multiply(light, shade.filter(ImageFilter.GaussianBlur(130)))
    return jpeg(ImageChops.multiply(image, Image.merge("RGB", [light] * 3)))


def glaring(name):
    image = page(name)
    spot = Image.new("L", image.size, 0)
    ImageDraw.Draw(spot).ellipse([700, 900, 1900, 1900], fill=255)
    dim = image.point(lambda v: v * 200 // 255)
    return jpeg(Image.composite(Image.new("RGB", image.size, (255, 255, 255)), dim, spot.filter(ImageFilter.GaussianBlur(60))))


def blank(rnd, behind=None):
    paper = Image.new("RGB", (2480, 3508), (236, 234, 228))
    if behind:
        back = ImageOps.mirror(page(behind)).filter(ImageFilter.GaussianBlur(9)).point(lambda v: 225 + v * 30 // 255)
        paper = ImageChops.multiply(paper, back)
    grain = Image.effect_noise(paper.size, 6 + rnd.random())
    return jpeg(Image.blend(paper, Image.merge("RGB", [grain] * 3), 0.04))


def said(sense):
    """What the record says, in words that fit."""
    out = []
    s = sense.get("square")
    if s:
        turned_by = " %.2f degrees" % s["angle"] if "angle" in s else ""
        out.append("%s%s (%.2f)%s" % (s["done"], turned_by, s["certainty"], "" if s["done"] != "nothing" else ": " + s["why"] + ", " + s.get("lines", "")))
    f = sense.get("flatten")
    if f:
        out.append("paper %s to %s, cast %s, gain %s" % (*f.get("paper", ["-", "-"]), f.get("cast"), f.get("gain")))
    g = sense.get("gate")
    if g:
        out.append("gate: %s%s" % (g["verdict"], " (%s)" % ", ".join(map(str, g["cut_off"])) if g.get("cut_off") else ""))
    b = sense.get("blank")
    if b:
        out.append("blank: %s, marks %s" % ("yes" if b.get("blank") else "no", b.get("marks")))
    return out


def cases():
    rnd = random.Random(7)
    looks, lays = {"sense": "gate,blank"}, {"square": True}
    evens = {"flatten": True, "contrast": True}
    return [
        ("Crop: camera over a desk", stored("invoice-5"), lays), ("Crop: photograph", photo("statement-1", 3), lays),
        ("Crop: photograph, uneven light", photo("receipt-2", 8), lays), ("Crop: photograph", photo("invoice-3", 12), lays),
        ("Left alone: cut off by the frame", cut_off(), lays), ("Left alone: two sheets", two_sheets(), lays),
        ("Left alone: scan, no edges", stored("statement-2"), lays), ("Left alone: faint scan", stored("invoice-4"), lays),
        ("Deskew: 0.8 degrees", stored("receipt-3"), lays), ("Deskew: -4 degrees", turned("invoice-2", -4), lays),
        ("Deskew: 2 degrees, noisy", turned("receipt-4", 2), lays), ("Deskew: 6 degrees, table", turned("statement-1", 6), lays),
        ("Flatten: low contrast", stored("invoice-4"), evens), ("Flatten: very faint", faint("receipt-1", 175), evens),
        ("Flatten: tinted paper, shade", shaded("statement-2", (250, 240, 190)), evens),
        ("Crop and flatten: photograph", photo("invoice-1", 31), dict(evens, square=True)),
        ("Flatten: nothing to do", stored("invoice-1"), evens), ("Flatten: blank page", blank(rnd), evens),
        ("Flatten: dark bar, blue", shaded("invoice-3", (214, 226, 250)), evens), ("Flatten: noisy", stored("invoice-6"), evens),
        ("Gate: good", stored("statement-1"), looks), ("Gate: blurred", jpeg(page("invoice-1").filter(ImageFilter.GaussianBlur(9))), looks),
        ("Gate: glare", glaring("invoice-2"), looks), ("Gate: cut off", jpeg(page("statement-2").crop((0, 0, 1500, 3508))), looks),
        ("Gate: nothing there", jpeg(scenes.desk((2448, 3264), rnd)), looks), ("Blank: paper alone", blank(rnd), looks),
        ("Blank: the back shines through", blank(rnd, "statement-1"), looks), ("Not blank: a receipt", stored("receipt-1"), looks),
    ]


def thumbnail(image):
    small = image.copy()
    small.thumbnail((WIDE, HIGH), Image.LANCZOS)
    return small


def cell(title, before, request):
    frame, sense, after = helpers.transcode(before, **request)
    first = ImageOps.exif_transpose(Image.open(io.BytesIO(before))).convert("RGB")
    quad = sense.get("square", {}).get("quad")
    if quad:
        ImageDraw.Draw(first).line([tuple(quad[i:i + 2]) for i in (0, 2, 4, 6)] + [tuple(quad[:2])], fill=(230, 20, 20), width=max(first.size) // 130)
    out = Image.new("RGB", (2 * WIDE + GAP + 4, HIGH + TEXT), (255, 255, 255))
    for i, image in enumerate((first, Image.open(io.BytesIO(after)).convert("RGB"))):
        out.paste(ImageOps.expand(thumbnail(image), 1, (120, 120, 120)), (i * (WIDE + GAP), TEXT - 6))
    draw = ImageDraw.Draw(out)
    draw.text((0, 0), title, fill=(0, 0, 0), font=ImageFont.truetype(FONT % "Bold", 16))
    lines = ["%dx%d to %dx%d" % (frame["source_width"], frame["source_height"], frame["width"], frame["height"])] + said(sense)
    draw.text((0, 20), "\n".join(["; ".join(lines[:2]), "; ".join(lines[2:])]), fill=(40, 40, 40), font=ImageFont.truetype(FONT % "Regular", 13))
    return out


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    cells = [cell(*c) for c in cases()]
    w, h = cells[0].size
    rows = (len(cells) + ACROSS - 1) // ACROSS
    sheet = Image.new("RGB", (ACROSS * (w + 3 * GAP), rows * (h + 3 * GAP)), (238, 240, 243))
    for i, c in enumerate(cells):
        sheet.paste(c, (i % ACROSS * (w + 3 * GAP) + GAP, i // ACROSS * (h + 3 * GAP) + GAP))
    os.makedirs(os.path.dirname(sys.argv[1]) or ".", exist_ok=True)
    sheet.save(sys.argv[1], optimize=True)
    print("%s: %d pages before and after, %dx%d" % (sys.argv[1], len(cells), *sheet.size))


if __name__ == "__main__":
    main()
