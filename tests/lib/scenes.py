"""Sample pages under a camera: on a desk, in perspective, unevenly lit; with the corners that the page has there."""
import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter


def coefficients(to, of):
    """What Image.transform(PERSPECTIVE) wants so that the points `of` of the source come to the points `to`."""
    rows, right = [], []
    for (x, y), (u, v) in zip(to, of):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    for i in range(8):  # Gauss, with pivots
        k = max(range(i, 8), key=lambda r: abs(rows[r][i]))
        rows[i], rows[k], right[i], right[k] = rows[k], rows[i], right[k], right[i]
        for r in range(8):
            if r != i:
                f = rows[r][i] / rows[i][i]
                rows[r] = [a - f * b for a, b in zip(rows[r], rows[i])]
                right[r] -= f * right[i]
    return [right[i] / rows[i][i] for i in range(8)]


def desk(size, rnd):
    base = rnd.choice([(70, 58, 48), (40, 42, 46), (112, 84, 60), (96, 104, 98)])
    frame = Image.new("RGB", size, base)
    draw = ImageDraw.Draw(frame)
    for _ in range(60):  # grain of wood
        y = rnd.uniform(0, size[1])
        draw.line([(0, y), (size[0], y + rnd.uniform(-60, 60))], fill=tuple(c + rnd.randint(-12, 8) for c in base), width=rnd.randint(2, 12))
    for _ in range(3):  # things that lie about
        x, y = rnd.uniform(0, size[0]), rnd.choice([rnd.uniform(0, size[1] * 0.08), rnd.uniform(size[1] * 0.92, size[1])])
        draw.ellipse([x - 90, y - 60, x + 90, y + 60], fill=rnd.choice([(20, 20, 24), (150, 40, 40), (60, 90, 140)]))
    return frame.filter(ImageFilter.GaussianBlur(1.5))


def seen(page, size, rnd):
    """The corners of a sheet of that shape, tilted a little, as a camera with an ordinary lens sees them."""
    focal = rnd.uniform(0.75, 1.0) * math.hypot(*size)
    turn, nod, pan = rnd.uniform(-0.12, 0.12), rnd.uniform(-0.3, 0.3), rnd.uniform(-0.15, 0.15)
    high = rnd.uniform(0.72, 0.84) * size[1]
    wide = high * page.width / page.height
    corners = []
    for u, v in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        x, y = u * wide * math.cos(turn) - v * high * math.sin(turn), u * wide * math.sin(turn) + v * high * math.cos(turn)
        y, z = y * math.cos(nod), y * math.sin(nod)
        x, z = x * math.cos(pan) - z * math.sin(pan), focal + x * math.sin(pan) + z * math.cos(pan)
        corners.append((size[0] / 2 + focal * x / z, size[1] / 2 + focal * y / z))
    return corners


def photograph(page, seed, size=(2448, 3264)):
    """The photograph, and the page's corners in it from its top left clockwise."""
    rnd = random.Random(seed)
    corners = seen(page, size, rnd)
    corner_of_page = [(0, 0), (page.width, 0), (page.width, page.height), (0, page.height)]
    twice = (size[0] * 2, size[1] * 2)  # drawn at twice the size, so that edges are smooth
    c = coefficients([(2 * x, 2 * y) for x, y in corners], corner_of_page)
    drawn = page.convert("RGB").transform(twice, Image.PERSPECTIVE, c, Image.BICUBIC).resize(size, Image.BOX)
    mask = Image.new("L", page.size, 255).transform(twice, Image.PERSPECTIVE, c, Image.NEAREST).resize(size, Image.BOX)
    frame = desk(size, rnd)
    frame.paste(drawn, (0, 0), mask)
    light = Image.linear_gradient("L").rotate(rnd.choice([0, 90, 180, 270])).resize(size).point(lambda v: 150 + v * 100 // 255)
    frame = ImageChops.multiply(frame, Image.merge("RGB", [light] * 3)).filter(ImageFilter.GaussianBlur(0.6))
    grain = Image.effect_noise(size, 14)
    return Image.blend(frame, ImageChops.overlay(frame, Image.merge("RGB", [grain] * 3)), 0.35), corners
