"""The visual hull of a drawing's views: each silhouette extruded along its sight, all intersected. Edges are exact.

Where the views determine the part, this is the part; elsewhere the largest solid that they allow.
"""

from __future__ import annotations

from typing import Any

import manifold3d
import numpy as np

from nerf2mesh.inputs.drawing.kinds import Drawing
from nerf2mesh.mesh.solid.parts import Part, part_of

COLOR = (0.62, 0.66, 0.70)
SIGHT = {
    "front": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "top": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "bottom": ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
    "right": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "left": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
"""World axes (rows x, y, z) of (across, up, towards the viewer) on the sheet; the part's front faces +X."""


def hull_parts(drawing: Drawing) -> list[Part]:
    """The part as one closed node, in metres, its box's middle at the origin.

    Raises:
        ValueError: the silhouettes leave nothing.
    """
    length = 4.0 * max(float(np.abs(view.region.bounds).max()) for view in drawing.views)
    solids = [_prism(view.name, view.region, length) for view in drawing.views]
    solid = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Intersect)
    if solid.is_empty():
        raise ValueError(
            f"input.image: expected views of one part, got silhouettes that leave nothing in {drawing.sheet.path}; "
            "check input.angle"
        )
    return [part_of("part", solid, COLOR)]


def _prism(name: str, region: Any, length: float) -> manifold3d.Manifold:
    """A view's region along its sight, `length` long about the middle, turned into the world."""
    rings: list[np.ndarray] = []
    for polygon in getattr(region, "geoms", [region]):
        rings += [np.asarray(ring.coords)[:-1] for ring in (polygon.exterior, *polygon.interiors)]
    section = manifold3d.CrossSection(rings, manifold3d.FillRule.EvenOdd)
    raised = manifold3d.Manifold.extrude(section, length).translate((0.0, 0.0, -length / 2))
    return raised.transform(np.concatenate([np.asarray(SIGHT[name], float), np.zeros((3, 1))], axis=1))
