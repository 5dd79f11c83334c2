"""Objects without a background: views of meshes, and shapes drawn in the plane with shading, texture and holes.

A cutout is a pair of straight colors [s, s, 3] and coverage [s, s], float32 in [0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np

from nerf2mesh.objects.config import AugmentConfig
from nerf2mesh.objects.mesh import ObjectMesh
from nerf2mesh.objects.views import draw_views
from nerf2mesh.procedural.grammar import ViewConfig
from nerf2mesh.segmentation.textures import blurred, color, color_near, dead_leaves, pattern, spectral

Cutout = tuple[np.ndarray, np.ndarray]
LEAST_COVER = 0.02
_VIEWS = ViewConfig(n_views=1, size_px=160, input_elevation_deg=(-10.0, 60.0))
_AUGMENT = AugmentConfig(pattern_share=0.35, flat_light_share=0.15, cutout_share=0.0, tumble_share=0.1)


def mesh_cutouts(mesh: ObjectMesh, rng: np.random.Generator, n_views: int) -> list[Cutout]:
    """Views of an object; those in which almost nothing is seen are left out."""
    views = ViewConfig(**{**vars(_VIEWS), "n_views": n_views, "elevation_deg": (-20.0, 70.0)})
    drawn = draw_views(mesh, rng, views, _AUGMENT).rgba.astype(np.float32) / 255.0
    return [straight(rgba) for rgba in drawn if rgba[..., 3].mean() > LEAST_COVER]


def straight(rgba: np.ndarray) -> Cutout:
    """Colors and coverage of premultiplied [s, s, 4]; colors reach a little beyond the edge."""
    alpha = rgba[..., 3]
    soft = cv2.blur(rgba, (5, 5))
    inner = rgba[..., :3] / np.maximum(alpha, 1e-3)[..., None]
    outer = soft[..., :3] / np.maximum(soft[..., 3], 1e-3)[..., None]
    return np.where(alpha[..., None] > 0.5, inner, outer).clip(0.0, 1.0), alpha


def drawn_cutout(rng: np.random.Generator, size: int = 160) -> Cutout:
    """A shape in the plane that looks solid: a blob, a polygon, a ring, bars or wires, lit from a side, textured."""
    alpha = _silhouette(rng, size)
    height = _height(alpha, rng)
    gy, gx = np.gradient(height * size * rng.uniform(0.25, 1.0))
    light = rng.normal(size=3)
    light[2] = abs(light[2]) + 0.3
    light /= np.linalg.norm(light)
    cosine = (light[2] - gx * light[0] - gy * light[1]) / np.sqrt(1.0 + gx**2 + gy**2)
    ambient = rng.uniform(0.15, 0.9)
    shade = ambient + (1.0 - ambient) * np.clip(cosine, 0.0, 1.0)
    rgb = _paint(rng, size) * shade[..., None]
    if rng.random() < 0.3:
        rgb = rgb + rng.uniform(0.1, 0.7) * np.clip(cosine, 0.0, 1.0)[..., None] ** rng.uniform(8, 60)
    return rgb.clip(0.0, 1.0).astype(np.float32), alpha


def _paint(rng: np.random.Generator, size: int) -> np.ndarray:
    kind = rng.random()
    if kind < 0.5:
        field = np.empty((size, size, 3), np.float32)
        field[:] = color(rng)
        return field
    if kind < 0.65:
        return dead_leaves(rng, size).clip(0.0, 1.0)
    if kind < 0.8:
        return pattern(rng, size).clip(0.0, 1.0)
    first = color(rng)
    share = 0.5 + 0.4 * spectral(rng, size, rng.uniform(0.8, 2.0))
    return first + share.clip(0.0, 1.0)[..., None] * (color_near(rng, first, 0.25) - first)


def _silhouette(rng: np.random.Generator, size: int) -> np.ndarray:
    """Coverage of a shape, drawn at twice the size; sometimes with a hole or joined of several shapes."""
    big = 2 * size
    mask = np.zeros((big, big), np.uint8)
    for _ in range(1 if rng.random() < 0.5 else int(rng.integers(2, 5))):
        _draw_shape(rng, mask)
    if rng.random() < 0.15:
        at, radius = rng.uniform(0.35, 0.65, 2) * big, rng.uniform(0.05, 0.15) * big
        cv2.circle(mask, tuple(at.astype(int).tolist()), int(radius), 0, -1)
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0


def _draw_shape(rng: np.random.Generator, mask: np.ndarray) -> None:
    big = mask.shape[0]
    middle = (0.5 + 0.12 * rng.normal(size=2).clip(-1.5, 1.5)) * big
    radius = rng.uniform(0.12, 0.33, 2) * big
    kind, turn = rng.random(), rng.uniform(0.0, 360.0)
    if kind < 0.3:
        box = (tuple(middle), (2 * radius[0], 2 * radius[rng.integers(2)]), turn)
        cv2.ellipse(mask, box, 255, -1, cv2.LINE_AA)
    elif kind < 0.45:
        corners = cv2.boxPoints((tuple(middle), (1.7 * radius[0], 1.7 * radius[1]), turn * (rng.random() < 0.5)))
        cv2.fillConvexPoly(mask, corners.astype(np.int32), 255, cv2.LINE_AA)
    elif kind < 0.75:
        angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        bumps = sum(rng.normal() / (k + 1) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(1, 7))
        reach = radius.mean() * np.clip(1.0 + 0.45 * bumps, 0.3, 1.6)
        points = middle + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)
    elif kind < 0.85:
        thick = int(rng.uniform(0.02, 0.12) * big)
        box = (tuple(middle), (2 * radius[0], 2 * radius[1]), turn)
        cv2.ellipse(mask, box, 255, thick, cv2.LINE_AA)
    else:
        knots = middle + rng.normal(0.0, 0.17, (int(rng.integers(3, 7)), 2)).clip(-0.35, 0.35) * big
        thick = int(rng.uniform(0.015, 0.07) * big)
        cv2.polylines(mask, [knots.astype(np.int32)], bool(rng.random() < 0.3), 255, thick, cv2.LINE_AA)


def _height(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A surface over the silhouette: round as a ball, or flat with round edges, with bumps; in shares of the side."""
    inside = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3) / alpha.shape[0]
    deepest = max(float(inside.max()), 1e-3)
    reach = deepest if rng.random() < 0.6 else deepest * rng.uniform(0.1, 0.6)
    t = np.clip(inside / reach, 0.0, 1.0)
    height = reach * np.sqrt(np.clip(1.0 - (1.0 - t) ** 2, 0.0, 1.0))
    if rng.random() < 0.4:
        height = height + 0.004 * rng.uniform(0.2, 1.5) * spectral(rng, alpha.shape[0], rng.uniform(1.0, 2.0))
    return blurred(height.astype(np.float32), 1.0)
