"""Photographs of one scene brought to one exposure, by the points that structure from motion saw in several of them.

Letters
    L_ij: linear brightness of point j in picture i. log L_ij = g_i + c_j + noise: an exposure for each picture and a
    brightness for each point, found by medians in turn (Tukey 1977, median polish), so that shine, shadows and false
    matches count for little. Of the g only their differences are known; their median is made 0.
Light is linear in the exposure, so pictures are changed in linear sRGB; what was clipped at white stays clipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from nerf2mesh.inputs.picture import Picture

FEWEST_POINTS = 20
"""A picture that shares fewer points with others keeps its exposure."""
NOTICEABLE = 0.03
"""Exposures that differ by less than this share are left alone."""
DARK, BRIGHT = 0.01, 0.9
"""Linear brightness outside of which a pixel tells nothing: noise, or clipped."""
ROUNDS = 30
LUMA = np.array([0.2126, 0.7152, 0.0722])
TABLE = np.where(np.arange(256) > 10, ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4, np.arange(256) / 255 / 12.92)
"""sRGB in 8 bits to linear."""


def log_exposures(
    picture: Int[np.ndarray, " n"], point: Int[np.ndarray, " n"], value: Float[np.ndarray, " n"], n_pictures: int
) -> Float[np.ndarray, " p"]:
    """g of each picture, natural logarithm, median 0; 0 for a picture with fewer than FEWEST_POINTS shared points.

    picture, point: whose brightness it is, numbers from 0. value: log L.
    """
    exposure = np.zeros(n_pictures)
    told = np.ones(n_pictures, bool)
    while True:  # a picture left out may leave points that one picture alone has, which say nothing
        kept = told[picture]
        kept &= np.bincount(point[kept], minlength=int(point.max(initial=0)) + 1)[point] > 1
        enough = np.bincount(picture[kept], minlength=n_pictures) >= FEWEST_POINTS
        if (enough == told).all():
            break
        told = enough
    if not told.any():
        return exposure
    picture, point, value = picture[kept], point[kept], value[kept]
    by_picture, by_point = _groups(picture, n_pictures), _groups(point, int(point.max(initial=0)) + 1)
    own = np.zeros(len(by_point))
    for _ in range(ROUNDS):
        for j, rows in enumerate(by_point):
            own[j] = np.median(value[rows] - exposure[picture[rows]]) if len(rows) else 0.0
        for i in np.flatnonzero(told):
            exposure[i] = np.median(value[by_picture[i]] - own[point[by_picture[i]]])
        exposure[told] -= np.median(exposure[told])
    return exposure


def _groups(index: np.ndarray, n: int) -> list[np.ndarray]:
    """Which rows have each number."""
    order = np.argsort(index, kind="stable")
    return np.split(order, np.searchsorted(index[order], np.arange(1, n)))


def brightness(rgba: np.ndarray, pixels: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """Linear brightness around pixels (x, y): the mean of 3 x 3."""
    height, width = rgba.shape[:2]
    x = np.clip(np.floor(pixels[:, 0]).astype(int), 1, width - 2)
    y = np.clip(np.floor(pixels[:, 1]).astype(int), 1, height - 2)
    near = [TABLE[rgba[y + dy, x + dx, :3]] @ LUMA for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.mean(near, axis=0)


def exposed(picture: Picture, log_gain: float) -> Picture:
    """The picture as if taken with exp(log_gain) times the light."""
    linear = np.clip(TABLE * np.exp(log_gain), 0.0, 1.0)
    changed = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    rgb = np.round(255.0 * changed).astype(np.uint8)[picture.rgba[..., :3]]
    return replace(picture, rgba=np.concatenate([rgb, picture.rgba[..., 3:]], axis=-1))


def evened(
    model: Any, pictures: Mapping[str, Picture], names: Sequence[str]
) -> tuple[dict[str, Picture], dict[str, object]]:
    """The placed pictures `names` at one exposure, and for the notes by how much the exposures differed.

    model: pycolmap's Reconstruction.
    """
    number = {name: i for i, name in enumerate(names)}
    rows: list[np.ndarray] = []
    for image in model.images.values():
        seen = [(p.xy, p.point3D_id) for p in image.points2D if p.has_point3D()] if image.name in number else []
        if seen:
            light = brightness(pictures[image.name].rgba, np.array([at for at, _ in seen]))
            known = (light > DARK) & (light < BRIGHT)
            points = np.array([point for _, point in seen], np.float64)
            rows.append(np.stack([np.full(known.sum(), number[image.name]), points[known], np.log(light[known])], 1))
    table = np.concatenate(rows) if rows else np.zeros((0, 3))
    point = np.unique(table[:, 1], return_inverse=True)[1]
    gains = log_exposures(table[:, 0].astype(int), point, table[:, 2], len(names))
    facts: dict[str, object] = {"exposures_differ_by": float(np.exp(np.ptp(gains)))}
    if np.ptp(gains) < np.log1p(NOTICEABLE):
        return dict(pictures), facts
    return {**pictures, **{name: exposed(pictures[name], -gains[i]) for name, i in number.items()}}, facts
