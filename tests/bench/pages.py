"""Pages for measuring, made into a folder and kept there: documents drawn here, seen as a scanner or a document camera sees them (paper
texture, shading, perspective, sensor noise, sharpening). Same code, same pages, up to the JPEG encoder's version. Nothing of it is committed."""
import math
import os
import random
import sys

import numpy as np
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/samples"))
import generate as g  # noqa: E402

# Size name: width, height, and for scanned pages the dots per inch; cameras see the page lying on its side.
SIZES = {"a4-300": (2480, 3508, 300), "a4-600": (4960, 7016, 600), "4k": (3840, 2160, 0), "13mp": (4208, 3120, 0)}
KINDS = ("article", "invoice", "form")
# What a file name ends in: Pillow's subsampling, and the quality for scanners and for cameras.
SAMPLINGS = {"420": ("4:2:0", 90, 92), "422": ("4:2:2", 86, 88)}
WORDS = ("the of and a page to in is that it was for on are with as his they at be this from have or by one had not but what all were when we there "
         "can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him "
         "see time could no make than first been its who now people my made over did down only way find use may water long little very after words "
         "called just where most know through much before line right too means old any same tell boy follow came want show also around form three "
         "small set put end does another well large must big even such because turn here why ask went men read need land different home us move try "
         "kind hand picture again change off play spell air away animal house point letter mother answer found study still learn should Australia "
         "harbour invoice statement 1987 2026 (see §4) 12.5% measurement—").split()


# ---- documents ----------------------------------------------------------------------------------------------------------------------------
def at_dpi(dpi):
    """The drawing of tests/samples is in millimetres: here at another resolution than its own 300 dpi."""
    g.PX_PER_MM = dpi / 25.4
    g.A4 = (round(210 * g.PX_PER_MM), round(297 * g.PX_PER_MM))


def cloud(height, width, rng, smallest, largest):
    """Smooth noise with details from 2^smallest to 2^largest pixels, about unit deviation."""
    total = np.zeros((height, width), np.float32)
    for k in range(smallest, largest):
        coarse = rng.standard_normal((max(2, height >> k), max(2, width >> k))).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC)) * 2.0 ** (k - largest)
    return total / max(1e-6, float(total.std()))


def picture(width, height, rng):
    """Something with the smooth areas and edges of a photograph."""
    bands = [cloud(height, width, rng, 1, 9) * 18 + cloud(height, width, rng, 5, 10) * 40 + 128 for _ in range(3)]
    image = np.clip(np.stack(bands, -1), 0, 255).astype(np.uint8)
    return Image.fromarray(image)


def paragraphs(p, rnd, x, y, width, height, mm, lead, font=g.SERIF):
    end = y + height
    face = g.ImageFont.truetype(g.FONTS + font, max(8, round(mm * g.PX_PER_MM)))
    while y < end:
        words, room = [], width * g.PX_PER_MM
        while True:
            word = rnd.choice(WORDS)
            room -= face.getlength(word + " ")
            if room < 0:
                break
            words.append(word)
        p.draw.text((x * g.PX_PER_MM, y * g.PX_PER_MM), " ".join(words), font=face, fill=g.INK)
        y += lead


def scribble(p, rnd, x, y, width, height, colour=(30, 45, 130)):
    points, phase = [], rnd.random() * 6
    for i in range(160):
        t = i / 160
        points.append(((x + width * t + 1.5 * math.sin(70 * t + phase)) * g.PX_PER_MM,
                       (y + height * (0.5 + 0.45 * math.sin(46 * t + phase) * math.cos(7 * t + phase))) * g.PX_PER_MM))
    p.draw.line(points, fill=colour, width=max(1, round(0.4 * g.PX_PER_MM)), joint="curve")


def paste(p, image, x, y):
    p.image.paste(image, (round(x * g.PX_PER_MM), round(y * g.PX_PER_MM)))


def article(seed):
    rnd, rng, p = random.Random(seed), np.random.default_rng(seed), g.Page((250, 249, 246))
    px = g.PX_PER_MM
    p.text(105, 15, "Capture of documents in rooms as they are", g.SERIF_BOLD, 6.4, g.INK, "ma")
    p.text(105, 24, "A. Writer, B. Reader - Proceedings 2026, pages 112 to 127", g.SERIF, 3.8, g.INK, "ma")
    paragraphs(p, rnd, 17, 34, 85, 116, 3.15, 3.8)
    paste(p, picture(round(85 * px), round(58 * px), rng).convert("L").convert("RGB"), 17, 156)
    p.text(17, 216, "Figure 1: light over the table.", g.SERIF, 3)
    paragraphs(p, rnd, 17, 223, 85, 58, 3.15, 3.8)
    paragraphs(p, rnd, 108, 34, 85, 96, 3.15, 3.8)
    for k in range(9):
        p.line(112, 136 + 6.5 * k, 192, 136 + 6.5 * k, 0.1, (180, 180, 180))
    for k, colour in enumerate(((200, 30, 30), (30, 120, 40), (30, 60, 190), (200, 130, 0))):
        curve = [((112 + 80 * t / 60) * px, (163 + 20 * math.sin(t / 9 + k) * math.exp(-t / 70) + 3 * rnd.random()) * px) for t in range(61)]
        p.draw.line(curve, fill=colour, width=max(1, round(0.4 * px)))
    p.text(112, 193, "Figure 2: four of them, by time.", g.SERIF, 3)
    paragraphs(p, rnd, 108, 200, 85, 81, 3.15, 3.8)
    return p.image


def form(seed):
    rnd, rng, p = random.Random(seed), np.random.default_rng(seed), g.Page((249, 250, 247))
    p.box(0, 0, 210, 24, (232, 242, 232))
    p.text(15, 8, "APPLICATION  Form 27-B/6", g.BOLD, 6, (10, 90, 50))
    paste(p, picture(round(35 * g.PX_PER_MM), round(45 * g.PX_PER_MM), rng), 158, 30)
    y = 32
    for _ in range(16):
        width, columns, x = (140, 2, 15) if y < 78 else (178, 3, 15)
        w = width / columns - 2
        for _ in range(columns):
            p.box(x, y, x + w, y + 11, (10, 90, 50))
            p.box(x + 0.25, y + 0.25, x + w - 0.25, y + 10.75, (252, 253, 250))
            p.text(x + 1, y + 0.8, rnd.choice(["Name", "Date of birth", "Street and number", "Tax file number", "Policy number", "BSB", "Telephone"]),
                   g.SANS, 2.1, (10, 90, 50))
            if rnd.random() < 0.7:
                scribble(p, rnd, x + 3, y + 4, w * rnd.uniform(0.4, 0.85), 5.5)
            else:
                p.text(x + 3, y + 5, "%08d" % rnd.randint(0, 10**8), g.MONO, 4.2)
            x += w + 2
        y += 13
    for row in range(8):
        x0, y0 = 15 + row % 2 * 90, y + row // 2 * 6
        for a, b in (((0, 0), (3.2, 0)), ((3.2, 0), (3.2, 3.2)), ((3.2, 3.2), (0, 3.2)), ((0, 3.2), (0, 0))):
            p.line(x0 + a[0], y0 + a[1], x0 + b[0], y0 + b[1], 0.25)
        p.text(x0 + 5, y0, " ".join(rnd.choice(WORDS) for _ in range(8)), g.SANS, 2.6)
    paragraphs(p, rnd, 15, y + 26, 180, 12, 2.1, 2.7, g.SANS)
    return p.image


def invoice(seed):
    rnd = random.Random(seed)
    image = g.invoice(seed, seed % 5)[0]
    p = g.Page()
    p.image, p.draw = image, g.ImageDraw.Draw(image)
    x = 120
    while x < 186:  # a bar code, a signature, small print
        w = rnd.choice((0.25, 0.5, 0.75, 1.0))
        p.box(x, 226, x + w, 240, (12, 12, 12))
        x += w + rnd.choice((0.3, 0.5, 0.8))
    scribble(p, rnd, 20, 240, 45, 12)
    paragraphs(p, rnd, 18, 274, 174, 14, 2.0, 2.6, g.SANS)
    return image


DRAW = {"article": article, "invoice": invoice, "form": form,
        "receipt": lambda seed: g.receipt(seed, seed % 4)[0], "statement": lambda seed: g.statement(seed, seed % 4)[0]}


# ---- how a page is seen -------------------------------------------------------------------------------------------------------------------
def blurred(plane, sigma):
    """Gaussian along both axes, by taps."""
    reach = max(1, math.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        padded = np.pad(plane, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        n = plane.shape[axis]
        plane = sum(t * (padded[i:i + n] if axis == 0 else padded[:, i:i + n]) for i, t in enumerate(taps))
    return plane


def seen(image, seed, camera, scale):
    """Paper, lens, light, sensor, the device's sharpening: channel by channel, for memory's sake. scale: of the details, 1 at 300 dpi."""
    width, height = image.size
    rng = np.random.default_rng(seed)
    paper = blurred(rng.standard_normal((height, width), np.float32), 1.2 * scale)
    paper = 1 + 0.008 * paper / float(paper.std()) + 0.006 * cloud(height, width, rng, 4, 10)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = 0.30 if camera else 0.04
    paper *= 1 - depth * 1.6 * ((x / width - 0.42) ** 2 + (y / height - 0.55) ** 2) - 0.3 * depth * x / width
    bands = []
    for band, tint in zip(image.split(), (1.0, 0.985, 0.95) if camera else (1.0, 0.997, 0.99)):
        plane = blurred(np.asarray(band, np.float32) * paper * tint, 0.6 if camera else 0.55 * scale)
        grain = blurred(rng.standard_normal((height, width), np.float32), 0.6)
        plane += grain / float(grain.std()) * (3.0 if camera else 1.8) * np.sqrt(np.maximum(plane, 8) / 200)
        plane += (0.5 if camera else 0.35) * (plane - blurred(plane, 1.2))
        bands.append(Image.fromarray(np.clip(plane + 0.5, 0, 255).astype(np.uint8)))
    return Image.merge("RGB", bands)


def perspective(corners, size):
    """Pillow's coefficients: where the frame's points are on a page of that size, whose corners lie at `corners` of the frame."""
    rows, right = [], []
    for (x, y), (u, v) in zip(corners, ((0, 0), (size[0], 0), size, (0, size[1]))):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(right, float))


def on_desk(kind, seed, width, height):
    """The page on its side under a camera, a little turned and not quite flat, on a wooden desk."""
    rng = np.random.default_rng(seed)
    px = min(height * 0.94 / 210, width * 0.96 / 297)
    at_dpi(px * 1.5 * 25.4)
    page = DRAW[kind](seed).rotate(90, expand=True)
    turn, half = math.radians(1.1), (297 * px / 2, 210 * px / 2)
    corners = []
    for (sx, sy), lift in zip(((-1, -1), (1, -1), (1, 1), (-1, 1)), (1.0, 0.99, 1.004, 0.996)):
        x, y = sx * half[0] * lift, sy * half[1] * lift
        corners.append((width / 2 + x * math.cos(turn) - y * math.sin(turn), height / 2 + x * math.sin(turn) + y * math.cos(turn)))
    how = perspective(corners, page.size)
    wood = cloud(height, width, rng, 3, 9) * 6 + np.asarray(
        Image.fromarray(rng.standard_normal((height // 2, 8), np.float32)).resize((width, height), Image.BICUBIC)) * 9
    desk = Image.fromarray(np.clip(wood[..., None] + np.array((120, 84, 56), np.float32), 0, 255).astype(np.uint8))
    mask = Image.new("L", page.size, 255).transform((width, height), Image.PERSPECTIVE, how, Image.BICUBIC)
    desk.paste(page.transform((width, height), Image.PERSPECTIVE, how, Image.BICUBIC), (0, 0), mask)
    return desk


def page(size, kind, seed):
    width, height, dpi = SIZES[size]
    if not dpi:
        return seen(on_desk(kind, seed, width, height), seed + 1000, True, 1)
    at_dpi(dpi)
    flat = DRAW[kind](seed).rotate(0.4, Image.BICUBIC, fillcolor=(225, 225, 222))
    return seen(flat.resize((width, height)) if flat.size != (width, height) else flat, seed + 1000, False, dpi / 300)


# ---- files --------------------------------------------------------------------------------------------------------------------------------
def limited_range(image):
    """Y, Cb, Cr as cameras send them: BT.601, 16 to 235 and 16 to 240."""
    y, cb, cr = (np.asarray(b, np.float32) for b in image.convert("YCbCr").split())
    return 16 + y * 219 / 255, 128 + (cb - 128) * 224 / 255, 128 + (cr - 128) * 224 / 255


def whole(plane):
    return np.clip(plane + 0.5, 0, 255).astype(np.uint8)


def write_raw(image, stem):
    width, height = image.size
    y, cb, cr = limited_range(image)
    cb, cr = ((c[:, 0::2] + c[:, 1::2]) / 2 for c in (cb, cr))
    yuyv = np.empty((height, width * 2), np.uint8)
    yuyv[:, 0::2], yuyv[:, 1::4], yuyv[:, 3::4] = whole(y), whole(cb), whole(cr)
    yuyv.tofile("%s-%dx%d.yuyv" % (stem, width, height))
    uv = np.empty((height // 2, width), np.uint8)
    uv[:, 0::2], uv[:, 1::2] = (whole((c[0::2] + c[1::2]) / 2) for c in (cb, cr))
    with open("%s-%dx%d.nv12" % (stem, width, height), "wb") as f:
        f.write(whole(y).tobytes() + uv.tobytes())


def turned(jpeg, orientation):
    """The same JPEG with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = exif.tobytes()
    return jpeg[:2] + b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data + jpeg[2:]


def jpeg(folder, size, kind, sampling):
    """Path of that page as a JPEG; made when it is not there. Camera pages leave their raw frames beside it."""
    stem = os.path.join(folder, "%s-%s" % (size, kind))
    path = "%s-%s.jpg" % (stem, sampling)
    if os.path.exists(path):
        return path
    os.makedirs(folder, exist_ok=True)
    image = page(size, kind, 7 + KINDS.index(kind))
    if not SIZES[size][2]:
        write_raw(image, stem)
    for name, (subsampling, scanner, camera) in SAMPLINGS.items():
        image.save(stem + "-new.jpg", quality=scanner if SIZES[size][2] else camera, subsampling=subsampling)
        os.rename(stem + "-new.jpg", "%s-%s.jpg" % (stem, name))
    return path


def raw(folder, size, kind, form):
    """Path of a raw frame, "nv12" or "yuyv"."""
    jpeg(folder, size, kind, "420")
    return os.path.join(folder, "%s-%s-%dx%d.%s" % (size, kind, SIZES[size][0], SIZES[size][1], form))


def huge(folder):
    """65 million pixels: the 600 dpi page made larger."""
    path = os.path.join(folder, "65mp-article-420.jpg")
    if not os.path.exists(path):
        image = Image.open(jpeg(folder, "a4-600", "article", "420")).resize((6778, 9590), Image.BICUBIC)
        image.save(path + ".new", "JPEG", quality=88, subsampling="4:2:0")
        os.rename(path + ".new", path)
    return path


def planes_of(path):
    """Y, Cb and Cr of the page at 2048 pixels; Cb and Cr of half its size."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((2048, 2048), Image.LANCZOS)
    y, cb, cr = (np.asarray(b) for b in image.convert("YCbCr").split())
    small = []
    for c in (cb, cr):
        even = np.pad(c, ((0, c.shape[0] % 2), (0, c.shape[1] % 2)), mode="edge").astype(np.float32)
        small.append(whole((even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]) / 4))
    return [y] + small


def write_planes(page_path, path):
    """The page's planes one after the other in a file; returns its Y as float32, and the file's path."""
    planes = planes_of(page_path)
    with open(path, "wb") as f:
        for plane in planes:
            f.write(plane.tobytes())
    return planes[0].astype(np.float32), path
