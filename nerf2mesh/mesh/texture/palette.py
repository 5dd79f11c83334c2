"""Draws the colors of hidden sides towards those that the given pictures show of the object.

A prior guesses a hidden side as the mean of what may be there: between two paints of the object, or washed out. Sides
of one object mostly share their paints, so that such a color belongs to the nearest of them.

Letters: p_k, k < K, pixels of the pictures' inside, evenly drawn, and so frequent as their color is there; q a color of
the mesh. The new color is the mean of p_k with the weights exp(-|lab(q) - lab(p_k)|^2 / (2 spread^2)) in CIELAB: the
posterior mean of a paint that was seen through Gaussian noise of that standard deviation. A color that is FAR from
every p_k is a paint of its own and stays, with a smooth step between. What a picture shows, at whatever angle, was
fitted to it and stays too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nerf2mesh.mesh.color_space import cielab
from nerf2mesh.mesh.texture.bake import texel_points, with_texels
from nerf2mesh.mesh.texture.given_views import OPAQUE, PIXELS_PER_POINT, look_up, reduced
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.types import View

COLORS = 400
LATTICE = 24
"""Colors in between are interpolated from so many a channel."""
FAR = 30.0
"""CIELAB units; on 40 held-out objects (none of those in the figures) it cost nothing against no such bound."""
RIM = 0.012
"""Pixels so near to the outline, as a share of the picture's height, may show what is behind the object."""
SEEN_COSINES, SEEN_INSIDE_PX = (0.0, 0.15), (0.0, 2.0)
"""From where to where a point counts as seen, as in `given_views`."""
LEAST = 50
"""Pixels without which a picture has no palette."""
SEED = 5_003


def toward_palette(mesh: TriangleMesh, views: Sequence[View], spread: float) -> TriangleMesh:
    """The mesh with its texture, or else its vertex colors, drawn towards the colors of `views` where these do not
    show it; spread in CIELAB units, above 0. Unchanged where the views show too little."""
    colors = palette(views)
    if not len(colors):
        return mesh
    table = lookup(colors, spread)

    def drawn(points: np.ndarray, normals: np.ndarray, before: np.ndarray) -> np.ndarray:
        return before + hidden(mesh, views, points, normals)[:, None] * (read(table, before) - before)

    if mesh.texture is not None and mesh.uv is not None:
        where = texel_points(mesh, mesh.texture.shape[0])
        return with_texels(mesh, where, drawn(where.points, where.normals, mesh.texture[where.covered][:, :3] / 255.0))
    if mesh.vertex_colors is not None:
        after = drawn(mesh.vertices, mesh.normals, mesh.vertex_colors)
        return replace(mesh, vertex_colors=after.astype(mesh.vertex_colors.dtype))
    return mesh


def hidden(mesh: TriangleMesh, views: Sequence[View], points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """How much [N], 0 to 1, of surface points with unit normals no view shows; the outline's pixels count as hidden."""
    left = np.ones(len(points))
    for view in views:
        coarse = reduced(view, PIXELS_PER_POINT * len(points))
        left = np.minimum(left, 1.0 - look_up(mesh, coarse, points, normals, SEEN_COSINES, SEEN_INSIDE_PX)[0])
    return left


def palette(views: Sequence[View]) -> np.ndarray:
    """At most COLORS sRGB colors [K, 3] from inside the object in the views; [0, 3] where these show too little."""
    found = [inside(view) for view in views]
    pixels = np.concatenate(found) if found else np.zeros((0, 3))
    if len(pixels) < LEAST:
        return np.zeros((0, 3))
    chosen = np.random.default_rng(SEED).permutation(len(pixels))[:COLORS]
    return pixels[chosen]


def inside(view: View) -> np.ndarray:
    """Straight sRGB [n, 3] of a view's opaque, known pixels away from the outline, or of all where it is thin."""
    from scipy.ndimage import binary_erosion

    image = view.image.cpu().numpy().astype(np.float64)
    mask = image[..., 3] > OPAQUE
    if view.known is not None:
        mask &= view.known.cpu().numpy()
    inner = np.asarray(binary_erosion(mask, np.ones((3, 3)), iterations=max(1, round(RIM * image.shape[0]))), bool)
    return image[inner if inner.sum() >= LEAST else mask][:, :3]


def lookup(colors: np.ndarray, spread: float) -> np.ndarray:
    """The new color [m, m, m, 3] of every sRGB color on an even lattice of m = LATTICE a channel."""
    axis = np.linspace(0.0, 1.0, LATTICE)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    asked, wanted = cielab(lattice), cielab(colors)
    apart = (asked**2).sum(1)[:, None] + (wanted**2).sum(1) - 2.0 * asked @ wanted.T
    nearest = apart.min(1, keepdims=True)
    weight = np.exp(-(apart - nearest) / (2.0 * spread**2))
    mean = (weight @ colors) / weight.sum(1, keepdims=True)
    own = 1.0 / (1.0 + np.exp(-8.0 * (np.sqrt(np.maximum(nearest, 0.0)) / FAR - 1.0)))
    return (mean + own * (lattice - mean)).reshape(LATTICE, LATTICE, LATTICE, 3)


def read(table: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """The table's values [n, 3] at sRGB colors [n, 3] in [0, 1], linearly between its entries."""
    from scipy.ndimage import map_coordinates

    at = np.clip(colors, 0.0, 1.0).T * (LATTICE - 1)
    return np.stack([map_coordinates(table[..., c], at, order=1, mode="nearest") for c in range(3)], axis=-1)
