"""Where the views of a part look: their axes in the world, and regions of theirs made solid.

A view's own axes are across, up, and towards the viewer. The part's front faces +X, +Z is up.
"""

from __future__ import annotations

from typing import Any

import manifold3d
import numpy as np

SIGHT = {
    "front": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "top": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "bottom": ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
    "right": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "left": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
"""World axes (rows x, y, z) of (across, up, towards the viewer) on the sheet."""


def shared_axis(name: str, other: str, axis: int) -> tuple[int, float] | None:
    """The axis (0 across, 1 up) of another view that shows this axis (0, 1, or 2 for the sight) of a view, and its
    sign; None where none does."""
    there = np.asarray(SIGHT[other]).T @ np.asarray(SIGHT[name])[:, axis]
    k = int(np.abs(there).argmax())
    return None if k == 2 or other == name else (k, float(there[k]))


def world_axes(name: str) -> str:
    """The letters of the world axes that a view shows across, up and along its sight, such as "yzx" for the front."""
    return "".join("xyz"[int(np.abs(column).argmax())] for column in np.asarray(SIGHT[name]).T)


def prism(name: str, region: Any, low: float, high: float) -> manifold3d.Manifold:
    """A view's region from `low` to `high` along its sight, towards the viewer, in the world."""
    raised = manifold3d.Manifold.extrude(section_of(region), high - low).translate((0.0, 0.0, low))
    return raised.transform(np.concatenate([np.asarray(SIGHT[name], float), np.zeros((3, 1))], axis=1))


def section_of(region: Any) -> manifold3d.CrossSection:
    """A shapely region for manifold3d."""
    rings: list[np.ndarray] = []
    for polygon in getattr(region, "geoms", [region]):
        rings += [np.asarray(ring.coords)[:-1] for ring in (polygon.exterior, *polygon.interiors)]
    return manifold3d.CrossSection(rings, manifold3d.FillRule.EvenOdd)


def as_seen(name: str, solid: manifold3d.Manifold) -> manifold3d.Manifold:
    """A solid of the world in a view's axes, the sight being z."""
    return solid.transform(np.concatenate([np.asarray(SIGHT[name], float).T, np.zeros((3, 1))], axis=1))
