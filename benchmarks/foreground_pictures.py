"""Pictures with known masks that no training saw: held-out objects before grounds of their own making.

Nothing of `nerf2mesh.segmentation` is used. Photographs are those that come with scikit-image's wheel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.objects.views import PLAIN, draw_views
from nerf2mesh.procedural.grammar import ViewConfig

SIZE_PX = 320
PHOTOGRAPHS = (
    "astronaut", "chelsea", "coffee", "rocket", "camera", "coins", "brick", "grass", "gravel", "moon", "clock_motion",
    "hubble_deep_field", "motorcycle_left", "retina",
)  # fmt: skip
Ground = Callable[[np.random.Generator], np.ndarray]


def draw(kind: str, folder: ObjectFolder, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 [s, s, 3] of a kind of KINDS and its mask bool [s, s]."""
    entries = [*folder.split("heldout"), *folder.split("outside")]
    rgb, alpha = _object(folder, entries, rng)
    base, shadow, after = KINDS[kind]
    ground = base(rng).astype(np.float32)
    rgb = rgb * np.clip(0.5 + 0.6 * ground.mean(), 0.5, 1.05)
    if kind in ("white on white", "dark on dark"):
        rgb = _alike(rgb, alpha, ground, rng)
    ground = ground * (1.0 - shadow(alpha, rng)[..., None])
    picture = ground * (1.0 - alpha[..., None]) + rgb * alpha[..., None]
    return after((picture.clip(0.0, 1.0) * 255).astype(np.uint8), alpha > 0.5, rng)


def _object(folder: ObjectFolder, entries: list, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Straight colors and coverage of an object that fills 35 to 85 % of the frame, moved a little."""
    while True:
        mesh = folder.read(entries[rng.integers(len(entries))])
        views = ViewConfig(n_views=1, size_px=SIZE_PX * 5 // 4, input_elevation_deg=(0.0, 35.0))
        rgba = draw_views(mesh, rng, views, PLAIN).rgba[0].astype(np.float32) / 255.0
        y, x = np.nonzero(rgba[..., 3] > 0.5)
        if len(y) > 0.03 * rgba[..., 3].size:
            break
    longer = max(np.ptp(y), np.ptp(x)) + 1
    share = rng.uniform(0.35, 0.85)
    scale = share * SIZE_PX / longer
    move = (0.5 + rng.uniform(-0.35, 0.35, 2) * (1 - share)) * SIZE_PX
    middle = np.array([x.min() + x.max(), y.min() + y.max()]) / 2
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    matrix[:, 2] = move - scale * middle
    soft = cv2.GaussianBlur(rgba, (0, 0), max(0.4 / scale, 0.3))
    placed = cv2.warpAffine(soft, matrix, (SIZE_PX, SIZE_PX), flags=cv2.INTER_LINEAR)
    alpha = placed[..., 3]
    return (placed[..., :3] / np.maximum(alpha, 1e-3)[..., None]).clip(0, 1), alpha


def _alike(rgb: np.ndarray, alpha: np.ndarray, ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The object's shading in the ground's color."""
    inside = alpha > 0.5
    grey = rgb.mean(-1)
    low, high = np.quantile(grey[inside], [0.03, 0.97])
    shade = ((grey - low) / max(high - low, 0.05)).clip(0, 1)
    level = float(ground.mean())
    if level > 0.5:
        return (level * (0.72 + 0.26 * shade))[..., None] * np.ones(3)
    return (level + 0.02 + rng.uniform(0.06, 0.14) * shade)[..., None] * np.ones(3)


def _plain(rng: np.random.Generator) -> np.ndarray:
    return np.ones((SIZE_PX, SIZE_PX, 3)) * rng.uniform(0.1, 0.97, 3)


def _shade(level: tuple[float, float]) -> Ground:
    return lambda rng: (
        np.ones((SIZE_PX, SIZE_PX, 3)) * rng.uniform(*level) + rng.normal(0, 0.003, (SIZE_PX, SIZE_PX, 3))
    )


def _axes() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIZE_PX, 0:SIZE_PX] / SIZE_PX
    return x, y


def _gradient(rng: np.random.Generator) -> np.ndarray:
    """Along a diagonal and, more strongly, downwards, with a soft horizon in every second one."""
    x, y = _axes()
    first, second = rng.uniform(0.3, 0.95) * np.ones(3), rng.uniform(0.2, 0.95) * np.ones(3)
    t = 0.3 * x + 0.7 * y
    if rng.random() < 0.5:
        t = 1.0 / (1.0 + np.exp(-(y - rng.uniform(0.5, 0.8)) / 0.05))
    return first + (second * rng.uniform(0.9, 1.1, 3) - first) * t[..., None]


def _vignette(rng: np.random.Generator) -> np.ndarray:
    x, y = _axes()
    fall = 1.0 - rng.uniform(0.5, 1.0) * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    return rng.uniform(0.5, 0.9) * rng.uniform(0.9, 1.0, 3) * fall[..., None] + rng.normal(
        0, 0.03, (SIZE_PX, SIZE_PX, 3)
    )


def _cells(rng: np.random.Generator) -> np.ndarray:
    """Voronoi cells in a few colors, as pebbles or tiles."""
    from scipy.spatial import KDTree

    x, y = _axes()
    points, colors = rng.random((int(rng.integers(20, 150)), 2)), rng.random((6, 3)) * 0.6 + rng.uniform(0, 0.4)
    distance, nearest = KDTree(points).query(np.stack([x, y], -1), k=2)
    return colors[nearest[..., 0] % 6] * np.clip(0.6 + 12 * (distance[..., 1] - distance[..., 0]), 0.6, 1.0)[..., None]


def _cloth(rng: np.random.Generator) -> np.ndarray:
    """Value noise of four octaves with a weave on it."""
    field = np.zeros((SIZE_PX, SIZE_PX))
    for octave in range(4):
        coarse = rng.random((4 * 2**octave, 4 * 2**octave)).astype(np.float32)
        field += cv2.resize(coarse, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC) / 1.7**octave
    x, y = _axes()
    weave = 0.03 * np.sin(2 * np.pi * 60 * x) * np.sin(2 * np.pi * 60 * y)
    return (rng.uniform(0.2, 0.9, 3) * (0.3 + 0.3 * field[..., None]) + weave[..., None]).clip(0, 1)


@lru_cache(maxsize=len(PHOTOGRAPHS))
def photograph(name: str) -> np.ndarray:
    """uint8 [h, w, 3] of a photograph in scikit-image's wheel."""
    import skimage
    from skimage import color, io

    folder = Path(skimage.__file__).parent / "data"
    suffix = "jpg" if name in ("rocket", "retina", "hubble_deep_field") else "png"
    found = io.imread(folder / f"{name}.{suffix}")
    return color.gray2rgb(found) if found.ndim == 2 else found[..., :3]


def _photographic(rng: np.random.Generator) -> np.ndarray:
    """A square of a photograph, in focus or behind the focus."""
    whole = photograph(PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))])
    side = int(min(whole.shape[:2]) * rng.uniform(0.3, 0.7))
    top, left = rng.integers(0, whole.shape[0] - side + 1), rng.integers(0, whole.shape[1] - side + 1)
    square = cv2.resize(whole[top : top + side, left : left + side], (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    sigma = rng.choice([0.0, 1.5, 4.0])
    return (cv2.GaussianBlur(square, (0, 0), sigma) if sigma else square) / 255.0


def _no_shadow(alpha: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return np.zeros_like(alpha)


def _contact(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Under the object's foot: its silhouette squeezed to a tenth of its height."""
    return _squeezed(alpha, 0.12, rng.normal(0, 0.1), rng.uniform(4, 9), rng.uniform(0.3, 0.6))


def _cast(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Thrown to a side by a low light, sharper than the contact shadow."""
    side = rng.choice([-1, 1])
    thrown = _squeezed(alpha, 0.35, side * rng.uniform(0.6, 1.4), rng.uniform(2, 6), rng.uniform(0.3, 0.6))
    return np.maximum(thrown, _contact(alpha, rng))


def _squeezed(alpha: np.ndarray, height: float, lean: float, sigma: float, strength: float) -> np.ndarray:
    bottom = np.nonzero(alpha.max(1) > 0.5)[0].max()
    matrix = np.array([[1.0, lean, -lean * bottom], [0.0, height, bottom * (1 - height)]])
    flat = cv2.warpAffine(alpha.astype(np.float32), matrix, (SIZE_PX, SIZE_PX))
    return strength * cv2.GaussianBlur(flat, (0, 0), sigma)


def _as_it_is(picture: np.ndarray, mask: np.ndarray, _: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return picture, mask


def _jpeg(picture: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    noisy = (picture + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), mask


def _letterbox(picture: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    bar = np.zeros((int(rng.uniform(0.08, 0.2) * SIZE_PX), SIZE_PX, 3), np.uint8)
    empty = np.zeros(bar.shape[:2], bool)
    return _jpeg(np.concatenate([bar, picture, bar]), np.concatenate([empty, mask, empty]), rng)


def _card(picture: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    width = int(rng.uniform(0.05, 0.12) * SIZE_PX)
    paper = int(rng.uniform(235, 255))
    framed = np.pad(picture, ((width, width), (width, width), (0, 0)), constant_values=paper)
    return _jpeg(framed, np.pad(mask, width), rng)


KINDS: dict[str, tuple[Ground, Callable, Callable]] = {
    "plain": (_plain, _no_shadow, _as_it_is),
    "plain, contact shadow": (_plain, _contact, _jpeg),
    "gradient": (_gradient, _contact, _as_it_is),
    "white on white": (_shade((0.9, 0.99)), _contact, _as_it_is),
    "dark on dark": (_shade((0.02, 0.08)), _no_shadow, _as_it_is),
    "vignette and noise": (_vignette, _contact, _as_it_is),
    "cast shadow": (_gradient, _cast, _jpeg),
    "cells": (_cells, _contact, _jpeg),
    "cloth": (_cloth, _contact, _jpeg),
    "photograph": (_photographic, _contact, _jpeg),
    "photograph, letterbox": (_photographic, _contact, _letterbox),
    "photograph, framed card": (_photographic, _contact, _card),
}
"""Ground, shadow, and what happens to the finished picture."""
