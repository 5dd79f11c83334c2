"""Whether figures from named sides can be of one object: what opposite sides and shared extents say.

Along one sight line and back a solid has one silhouette, so that opposite sides are each other's mirror image. The
object's depth shows twice: as the width of a side view and as the height of a view from above. Drawings are made by
hand, so that small differences are warned of, and only large ones refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from nerf2mesh.types import View

OPPOSITE = ({"front", "back"}, {"left", "right"}, {"front_left", "back_right"}, {"front_right", "back_left"})
AGREE, IMPOSSIBLE = 0.85, 0.5
"""Intersection over union of a figure and its opposite's mirror image below which it is warned of, and refused."""
UNEQUAL, OTHER_DEPTH = 0.08, 0.25
"""Difference of two depths from which it is warned of, and refused."""


def check_figures(views: Sequence[View], names: Sequence[str]) -> list[str]:
    """Warnings about level orthographic views at one scale, each centered, and views from above and below.

    Raises:
        ValueError: a side that is named twice, or figures that cannot be of one object, with the amount.
    """
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise ValueError(f"input.views: expected each side once, got {twice[0]} twice; name what each figure shows")
    masks = {name: (view.image[..., 3] > 0.5).numpy() for name, view in zip(names, views)}
    said = []
    for one, other in combinations(names, 2):
        if {one, other} in OPPOSITE:
            said += _mirrored(masks[one], masks[other], one, other)
        elif {one, other} & {"top", "bottom"} and {one, other} & {"left", "right"}:
            side, above = (one, other) if one in ("left", "right") else (other, one)
            said += _deep(masks[side], masks[above], side, above)
    return said


def _mirrored(mask: np.ndarray, behind: np.ndarray, one: str, other: str) -> list[str]:
    mirrored = behind[:, ::-1]
    share = float((mask & mirrored).sum() / max(1, (mask | mirrored).sum()))
    if share < IMPOSSIBLE:
        raise ValueError(
            f"input.image: expected {other} to be the mirror image of {one} in outline, got outlines that share "
            f"{share:.0%}; these cannot be views of one object: correct input.views, or leave one out"
        )
    if share < AGREE:
        return [f"the outlines of {one} and {other}, mirrored, share only {share:.0%}; what both show is the object"]
    return []


def _deep(side: np.ndarray, above: np.ndarray, one: str, other: str) -> list[str]:
    depths = int(np.ptp(np.flatnonzero(side.any(0)))) + 1, int(np.ptp(np.flatnonzero(above.any(1)))) + 1
    differ = 1.0 - min(depths) / max(depths)
    if differ > OTHER_DEPTH:
        raise ValueError(
            f"input.image: expected one depth in {one} and {other}, got {depths[0]} and {depths[1]} px at one scale "
            f"({differ:.0%} apart); these cannot be views of one object: correct input.views, or leave one out"
        )
    return [f"the depths in {one} and {other} differ by {differ:.0%}"] if differ > UNEQUAL else []
