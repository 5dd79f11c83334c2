"""Fields and textures [s, s] or [s, s, 3], float32, that backgrounds and objects are made of."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

STORED_FIELDS, STORED_PX = 6, 256
"""How many fields of noise are kept for each exponent, and their side."""


def color(rng: np.random.Generator) -> np.ndarray:
    """A color [3] as photographs have them: often grey, white or dark, else muted, seldom pure."""
    kind = rng.random()
    if kind < 0.12:
        return np.float32(1.0 - 0.1 * rng.random()) * np.ones(3, np.float32)
    if kind < 0.2:
        return (0.12 * rng.random() + 0.02 * rng.random(3)).astype(np.float32)
    grey = rng.uniform(0.05, 0.98)
    strength = 0.06 if kind < 0.45 else 0.35 if kind < 0.85 else 1.0
    return np.clip(grey + strength * (rng.random(3) - 0.5), 0.0, 1.0).astype(np.float32)


def color_near(rng: np.random.Generator, middle: np.ndarray, spread: float) -> np.ndarray:
    """`middle` made brighter or darker, and a little otherwise."""
    return np.clip(middle + spread * rng.normal() + 0.4 * spread * rng.normal(size=3), 0.0, 1.0).astype(np.float32)


def spectral(rng: np.random.Generator, size: int, exponent: float) -> np.ndarray:
    """Noise [s, s] of mean 0 and deviation 1 whose amplitude falls as 1 / frequency^exponent.

    Photographs have an exponent of about 1 (Field 1987, "Relations between the statistics of natural images..."). It
    is a window of one of a few stored fields, which are periodic, moved and mirrored at random.
    """
    field = _stored_field(round(10 * exponent), int(rng.integers(STORED_FIELDS)))
    y, x = rng.integers(STORED_PX, size=2)
    rows, columns = (y + np.arange(size)) % STORED_PX, (x + np.arange(size)) % STORED_PX
    turned = field if rng.random() < 0.5 else field.T
    window = turned[rows[:: rng.choice([-1, 1])]][:, columns[:: rng.choice([-1, 1])]]
    window = window - window.mean()
    return window / np.sqrt(np.mean(window * window))


@lru_cache(maxsize=256)
def _stored_field(tenths: int, number: int) -> np.ndarray:
    """A periodic field [STORED_PX, STORED_PX] of the exponent `tenths` / 10."""
    rng = np.random.default_rng([tenths, number, 810_001])
    fy, fx = np.fft.fftfreq(STORED_PX)[:, None], np.fft.rfftfreq(STORED_PX)[None]
    amplitude = np.maximum(np.hypot(fy, fx), 1.0 / STORED_PX) ** (-tenths / 10)
    amplitude[0, 0] = 0.0
    phase = rng.uniform(0.0, 2 * np.pi, amplitude.shape)
    return np.fft.irfft2(amplitude * np.exp(1j * phase), (STORED_PX, STORED_PX)).astype(np.float32)


def colored_noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise with the spectrum of photographs, its channels mostly alike, around some color."""
    exponent, strength = rng.uniform(0.7, 1.8), rng.uniform(0.03, 0.25)
    shared, other = spectral(rng, size, exponent), spectral(rng, size, exponent)
    mix = (color(rng) - 0.5) * rng.uniform(0.0, 1.5)
    return color(rng) + np.float32(strength) * (shared[..., None] + other[..., None] * mix.astype(np.float32))


def ramp(rng: np.random.Generator, size: int) -> np.ndarray:
    """From 0 to 1 along a line or away from a point, [s, s]; at times a smooth step, as where a wall meets a floor."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    if rng.random() < 0.5:
        angle = rng.uniform(0.0, 2 * np.pi) if rng.random() < 0.5 else np.pi / 2
        field = x * np.cos(angle) + y * np.sin(angle) + 0.5
    else:
        field = np.hypot(x - rng.normal(0.0, 0.2), y - rng.normal(0.0, 0.2)) * rng.uniform(0.9, 1.5)
    if rng.random() < 0.3:
        field = (field - rng.uniform(0.3, 0.8)) / rng.uniform(0.02, 0.3)
        return (1.0 / (1.0 + np.exp(-np.clip(4 * field, -30, 30)))).astype(np.float32)
    return np.clip(field, 0.0, 1.2).astype(np.float32) ** np.float32(rng.uniform(0.7, 2.0))


def gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """One color going over into another, mostly a like one."""
    first = color(rng)
    second = color_near(rng, first, rng.uniform(0.02, 0.3)) if rng.random() < 0.8 else color(rng)
    return first + ramp(rng, size)[..., None] * (second - first)


def dead_leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Overlapping leaves whose sizes follow a power law: edges and a spectrum as in photographs (Lee et al. 2001)."""
    n, least = int(rng.integers(25, 130)), rng.uniform(0.015, 0.06)
    canvas = np.empty((size, size, 3), np.float32)
    canvas[:] = color(rng)
    palette = [color(rng) for _ in range(rng.integers(2, 7))]
    angular, straight = rng.random(), rng.random() < 0.4
    radii = least / np.sqrt(1.0 - rng.random(n) * (1.0 - (least / 0.45) ** 2)) * size
    for radius in radii:
        at = rng.uniform(-0.1, 1.1, 2) * size
        paint = color_near(rng, palette[rng.integers(len(palette))], 0.12).tolist()
        turn = 0.0 if straight else rng.uniform(0.0, 360.0)
        sides = radius * rng.uniform(0.35, 1.0), radius
        if rng.random() < angular:
            corners = cv2.boxPoints((tuple(at), (2 * sides[0], 2 * sides[1]), turn))
            cv2.fillConvexPoly(canvas, corners.astype(np.int32), paint, cv2.LINE_AA)
        else:
            cv2.ellipse(canvas, (tuple(at), (2 * sides[0], 2 * sides[1]), turn), paint, -1, cv2.LINE_AA)
    shade = 1.0 + np.float32(rng.uniform(0.0, 0.2)) * spectral(rng, size, rng.uniform(0.5, 1.4))
    return canvas * shade[..., None]


def pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    """Checkers, stripes, tiles, planks or dots in two colors."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle, pitch = rng.uniform(0, np.pi) * (rng.random() < 0.5), rng.uniform(0.04, 0.35)
    u = (x * np.cos(angle) + y * np.sin(angle)) / pitch + rng.random()
    v = (y * np.cos(angle) - x * np.sin(angle)) / (pitch * rng.uniform(0.4, 1.0)) + rng.random()
    first = color(rng)
    second = color_near(rng, first, rng.uniform(0.03, 0.3)) if rng.random() < 0.6 else color(rng)
    kind = rng.integers(5)
    if kind == 0:
        share = (np.floor(u) + np.floor(v)) % 2
    elif kind == 1:
        share = (u % 1.0 < rng.uniform(0.2, 0.8)).astype(np.float32)
    elif kind == 2:
        share = ((u + 0.5 * (np.floor(v) % 2)) % 1.0 < 0.07) | (v % 1.0 < 0.1)
    elif kind == 3:
        share = 0.5 + 0.3 * np.sin(2 * np.pi * u + 2 * spectral(rng, size, 2.0)) + 0.3 * spectral(rng, size, 0.8)
    else:
        share = np.hypot(u % 1.0 - 0.5, v % 1.0 - 0.5) < rng.uniform(0.15, 0.4)
    return first + np.asarray(share, np.float32)[..., None] * (second - first)


def blurred(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur, the border reflected; a deviation under 0.3 px changes nothing."""
    return image if sigma_px < 0.3 else cv2.GaussianBlur(image, (0, 0), float(sigma_px), borderType=cv2.BORDER_REFLECT)
