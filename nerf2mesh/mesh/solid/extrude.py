"""Solids by manifold3d from regions of a sheet."""

from __future__ import annotations

from typing import Any

import manifold3d
import numpy as np
import shapely

GRID_M = 1e-4
"""Corners lie on this grid, so that neighboring layers share theirs and files in single precision stay closed."""


def extruded(region: Any, low: float, high: float) -> manifold3d.Manifold:
    """A shapely region, x to the right and y up on the sheet, raised from height `low` to `high` (metres).

    On the sheet right becomes +Y and up becomes -X, so that the sheet's lower edge is the front.
    """
    rings: list[np.ndarray] = []
    region = shapely.set_precision(region, GRID_M)
    for polygon in getattr(region, "geoms", [region]):
        rings += [np.asarray(ring.coords)[:-1] for ring in (polygon.exterior, *polygon.interiors)]
    turned = [np.stack([-ring[:, 1], ring[:, 0]], axis=1) for ring in rings]
    section = manifold3d.CrossSection(turned, manifold3d.FillRule.EvenOdd)
    return manifold3d.Manifold.extrude(section, high - low).translate((0.0, 0.0, low))


def united(solids: list[manifold3d.Manifold]) -> manifold3d.Manifold:
    """Their union."""
    return manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add).simplify(GRID_M / 2)
