"""Pages as a camera sees them: made as raw frames, and compared with what came out."""
import math

from PIL import Image, ImageChops, ImageDraw, ImageStat


def page(sample, width, height):
    """A sample page on a desk, with patches of colour; RGB."""
    frame = Image.new("RGB", (width, height), (96, 88, 80))
    with Image.open(sample) as s:
        sheet = s.convert("RGB")
    scale = min(width * 0.9 / sheet.width, height * 0.96 / sheet.height)
    sheet = sheet.resize((round(sheet.width * scale), round(sheet.height * scale)), Image.LANCZOS)
    frame.paste(sheet, ((width - sheet.width) // 2, (height - sheet.height) // 2))
    draw, side = ImageDraw.Draw(frame), height // 8
    for i, colour in enumerate(((200, 40, 40), (40, 160, 60), (50, 70, 200), (220, 200, 60), (128, 128, 128))):
        draw.rectangle((0, i * side, side, i * side + side - 1), fill=colour)
    return frame


def planes(image):
    """Y, Cb, Cr in full size by BT.601, limited range, as video has them."""
    y, cb, cr = image.convert("YCbCr").split()
    return y.point(lambda v: round(16 + v * 219 / 255)), *(c.point(lambda v: round(128 + (v - 128) * 224 / 255)) for c in (cb, cr))


def yuyv(image):
    w, h = image.size
    y, cb, cr = planes(image)
    out = bytearray(w * h * 2)
    out[0::2] = y.tobytes()
    out[1::4] = cb.resize((w // 2, h), Image.BOX).tobytes()
    out[3::4] = cr.resize((w // 2, h), Image.BOX).tobytes()
    return bytes(out)


def nv12(image):
    w, h = image.size
    y, cb, cr = planes(image)
    pairs = bytearray(w * h // 2)
    pairs[0::2] = cb.resize((w // 2, h // 2), Image.BOX).tobytes()
    pairs[1::2] = cr.resize((w // 2, h // 2), Image.BOX).tobytes()
    return y.tobytes() + bytes(pairs)


def psnr(a, b):
    """In dB, over all three channels; of images of one size."""
    squares = ImageStat.Stat(ImageChops.difference(a, b)).sum2
    mean = sum(squares) / (3 * a.width * a.height)
    return 99.0 if mean == 0 else 10 * math.log10(255 * 255 / mean)
