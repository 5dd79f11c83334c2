"""The visual hull of a drawing's views: each silhouette extruded along its sight, all intersected. Edges are exact.

What the inner lines tell (pockets, blind holes, the shape of bosses) is then cut off. Where the views determine the
part, this is the part; elsewhere the largest solid that they allow.
"""

from __future__ import annotations

from nerf2mesh.inputs.drawing.kinds import Drawing
from nerf2mesh.inputs.drawing.steps import carved, hull_of
from nerf2mesh.mesh.solid.parts import Part, part_of

COLOR = (0.62, 0.66, 0.70)


def hull_parts(drawing: Drawing) -> list[Part]:
    """The part as one closed node, in metres, its box's middle at the origin.

    Raises:
        ValueError: the silhouettes leave nothing.
    """
    solid = carved(hull_of(drawing.views), drawing.cuts)
    if solid.is_empty():
        raise ValueError(
            f"input.image: expected views of one part, got silhouettes that leave nothing in {drawing.sheet.path}; "
            "check input.angle"
        )
    return [part_of("part", solid, COLOR)]
