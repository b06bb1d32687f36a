"""PSNR and SSIM of a smaller page's brightness against a float Lanczos3 reduction of the larger one, from libjpeg's decoder with float IDCT."""
import math
import subprocess

import numpy as np


def luma(path):
    """The Y plane as stored, float32."""
    pgm = subprocess.run(["djpeg", "-dct", "float", "-grayscale", path], stdout=subprocess.PIPE, check=True).stdout
    kind, width, height, top = pgm[:40].split(maxsplit=4)[:4]
    assert kind == b"P5" and top == b"255", "djpeg gave no PGM"
    width, height = int(width), int(height)
    return np.frombuffer(pgm, np.uint8, width * height, len(pgm) - width * height).reshape(height, width).astype(np.float32)


def lanczos3(x):
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def shrunk_rows(plane, rows):
    """Lanczos3 over the first axis, its support widened with the factor, weights summing to one."""
    step = plane.shape[0] / rows
    centre = (np.arange(rows) + 0.5) * step
    first = np.floor(centre - 3 * step).astype(int)
    taps = [first + k for k in range(math.ceil(6 * step) + 2)]
    weights = [lanczos3((t + 0.5 - centre) / step) * ((t >= 0) & (t < plane.shape[0])) for t in taps]
    total = sum(weights)
    out = np.zeros((rows, plane.shape[1]), np.float32)
    for t, w in zip(taps, weights):
        out += (w / total).astype(np.float32)[:, None] * plane[np.clip(t, 0, plane.shape[0] - 1)]
    return out


def shrunk(plane, width, height):
    return np.ascontiguousarray(shrunk_rows(np.ascontiguousarray(shrunk_rows(plane, height).T), width).T)


def psnr(a, b):
    return 10 * math.log10(255 ** 2 / max(1e-9, float(np.mean((a - b) ** 2, dtype=np.float64))))


def smoothed(plane):
    """The 11 x 11 Gaussian window of deviation 1.5, where it lies within the plane."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    h, w = plane.shape
    down = sum(t * plane[i:h - 10 + i] for i, t in enumerate(taps))
    return sum(t * down[:, i:w - 10 + i] for i, t in enumerate(taps))


def ssim(a, b):
    """Mean structural similarity (Wang and others, 2004), K1 = 0.01, K2 = 0.03."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    a, b = a - np.float32(128), b - np.float32(128)  # deviations are taken in float32: keep them exact
    ma, mb = smoothed(a), smoothed(b)
    va, vb, vab = smoothed(a * a) - ma * ma, smoothed(b * b) - mb * mb, smoothed(a * b) - ma * mb
    ma, mb = ma + 128, mb + 128
    return float(np.mean((2 * ma * mb + c1) * (2 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2)), dtype=np.float64))


def at_ssim(curve, wanted):
    """Of points (SSIM, bytes, PSNR) by rising SSIM: bytes (by their logarithm) and PSNR at that SSIM."""
    score = [c[0] for c in curve]
    assert score[0] <= wanted <= score[-1], "outside the curve"
    return math.exp(float(np.interp(wanted, score, [math.log(c[1]) for c in curve]))), float(np.interp(wanted, score, [c[2] for c in curve]))
