"""Numbers by which kinds of pictures differ: tones, colors, lines, shading, blocks. Each is a share, a mean or a ratio.

The object is cut to its box and brought to SIDE_PX by areas; blocks (pixel art) are looked for at its own size. Lab is
CIE Lab of D65 divided by 100.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SIDE_PX = 128
TONES = 24
BLOCKS = range(2, 33)
NAMES = (
    *("bright", "dark", "top_tone", "two_tones", "tone_entropy", "lightness", "contrast"),
    *("chroma", "chroma_p90", "chroma_spread", "blue", "hue_unity", "colors"),
    *("flat", "ramp", "steep", "dark_lines", "dark_lines_p95", "light_lines", "light_lines_p95"),
    *("rim_darker", "fine", "hatching", "block_gain", "equal_neighbors", "few_colors", "small", "lines_are_tone"),
)


def features(rgba: Float[np.ndarray, "h w 4"]) -> Float[np.ndarray, "k"]:
    """NAMES of a straight-alpha picture in [0, 1]; only what alpha > 0.5 covers counts."""
    import cv2

    cut = _cut(rgba)
    height, width = cut.shape[:2]
    scale = SIDE_PX / max(height, width)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    mask = small[..., 3] > 0.95
    mask = mask if mask.sum() >= 32 else small[..., 3] > 0.5
    lab = cv2.cvtColor(np.ascontiguousarray(small[..., :3], np.float32), cv2.COLOR_RGB2LAB) / 100.0
    found = _tones(lab, mask) | _colors(lab, small, mask) | _lines(lab, mask) | _blocks(cut)
    return np.array([found[name] for name in NAMES], np.float64)


def _cut(rgba: np.ndarray) -> np.ndarray:
    """The box of alpha > 0.5; transparent pixels take the object's mean color, so that they make no edges."""
    solid = rgba[..., 3] > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(rows):
        return np.zeros((8, 8, 4), np.float32)
    cut = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    inside = cut[..., 3] > 0.5
    cut[~inside, :3] = cut[inside, :3].mean(0)
    return np.concatenate([cut[..., :3], inside[..., None].astype(np.float32)], -1)


def _tones(lab: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    light = lab[mask][:, 0]
    histogram = np.bincount((light * TONES).astype(int).clip(0, TONES - 1), minlength=TONES) / max(len(light), 1)
    ordered = np.sort(histogram)[::-1]
    known = histogram[histogram > 0]
    return {
        "bright": float((light > 0.85).mean()),
        "dark": float((light < 0.3).mean()),
        "top_tone": float(ordered[0]),
        "two_tones": float(ordered[:3].sum()),
        "tone_entropy": float(-(known * np.log(known)).sum() / np.log(TONES)),
        "lightness": float(np.median(light)),
        "contrast": float(light.std()),
    }


def _colors(lab: np.ndarray, small: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    a, b = lab[mask][:, 1], lab[mask][:, 2]
    chroma = np.hypot(a, b)
    direction = np.hypot(a.sum(), b.sum()) / max(float(chroma.sum()), 1e-6)
    codes = ((small[..., :3][mask] * 15.999).astype(int) * [256, 16, 1]).sum(-1)
    counts = np.sort(np.bincount(codes, minlength=4096))[::-1].cumsum()
    return {
        "chroma": float(chroma.mean()),
        "chroma_p90": float(np.percentile(chroma, 90)),
        "chroma_spread": float(chroma.std()),
        "blue": float(-b.mean()),
        "hue_unity": float(direction),
        "colors": float(np.log1p(np.searchsorted(counts, 0.9 * counts[-1]))),
    }


def _lines(lab: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Thin dark and light lines by top hats, slopes of tone, the rim against the inside, and fine periodic strokes."""
    import cv2

    light = np.ascontiguousarray(lab[..., 0], np.float32)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    dark = cv2.morphologyEx(light, cv2.MORPH_CLOSE, disc) - light
    pale = light - cv2.morphologyEx(light, cv2.MORPH_OPEN, disc)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    inner = inner if inner.sum() >= 16 else mask
    deep = cv2.erode(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    deep = deep if deep.sum() >= 16 else inner
    slope = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(light, cv2.CV_32F, 0, 1, scale=0.125))
    fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.0))
    band = np.abs(cv2.GaussianBlur(light, (0, 0), 0.8) - cv2.GaussianBlur(light, (0, 0), 2.5))
    spread = max(float(light[mask].std()), 1e-3)
    return {
        "flat": float((slope[inner] < 0.004).mean()),
        "ramp": float(((slope[inner] >= 0.004) & (slope[inner] < 0.03)).mean()),
        "steep": float((slope[inner] > 0.1).mean()),
        "dark_lines": float(dark[deep].mean()),
        "dark_lines_p95": float(np.percentile(dark[deep], 95)),
        "light_lines": float(pale[deep].mean()),
        "light_lines_p95": float(np.percentile(pale[deep], 95)),
        "rim_darker": float(light[deep].mean() - light[mask & ~inner].mean()) if (mask & ~inner).any() else 0.0,
        "fine": float(fine[deep].mean()),
        "hatching": float(band[deep].mean() / spread),
        "lines_are_tone": float(dark[deep].std() / spread),
    }


def _blocks(cut: np.ndarray) -> dict[str, float]:
    """How much more of the change from pixel to pixel lies on the lines of a coarse grid than elsewhere, at the best
    grid; how many neighbors are equal; how few colors there are; how small the object is."""
    inside = cut[..., 3] > 0.5
    change = np.abs(np.diff(cut[..., :3], axis=1)).max(-1) * (inside[:, 1:] & inside[:, :-1])
    rows = np.abs(np.diff(cut[..., :3], axis=0)).max(-1) * (inside[1:] & inside[:-1])
    best = 0.0
    for profile in (change.sum(0), rows.sum(1)):
        total = max(float(profile.sum()), 1e-6)
        gains = [
            (max(profile[phase::block].sum() for phase in range(block)) / total - 1.0 / block) * (1.0 - 1.0 / block)
            for block in BLOCKS
            if 4 * block <= len(profile)
        ]
        best += max(gains, default=0.0) / 2.0
    neighbors = inside[:, 1:] & inside[:, :-1]
    equal = (np.abs(np.diff(cut[..., :3], axis=1)).max(-1) < 1.5 / 255.0)[neighbors]
    codes = ((cut[..., :3][inside] * 31.999).astype(int) * [1024, 32, 1]).sum(-1)
    counts = np.sort(np.bincount(codes, minlength=32768))[::-1].cumsum()
    return {
        "block_gain": float(best),
        "equal_neighbors": float(equal.mean()) if len(equal) else 0.0,
        "few_colors": float(np.log1p(np.searchsorted(counts, 0.98 * counts[-1]))),
        "small": float(1.0 / max(1.0, max(cut.shape[:2]) / 64.0)),
    }
