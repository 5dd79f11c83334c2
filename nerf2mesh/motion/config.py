"""Settings of motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Weight, Within


@dataclass(kw_only=True)
class MotionConfig:
    """How the mesh follows the frames of `input=frames` (docs/frames.md)."""

    flow: Weight = 0.5
    """How much a visible vertex follows the optical flow from its neighbors in time, against an outline's 1."""
    momentum: Weight = 0.3
    """How much a vertex stays in the middle of its places before and after, against 1 of an outline's vertex."""
    depth: Weight = 0.1
    """How much a vertex keeps the depth that it has in the first frame: a still camera does not show it."""
    sweeps: Annotated[int, Within(0, 100)] = 3
    """How often all frames are gone through again, each with its neighbors in time."""

    lattice: Annotated[int, Within(4, 24)] = 10
    """Control points along an axis of the deformation of space that is fitted to the mesh's motion, for the field."""

    def __post_init__(self) -> None:
        check_ranges(self, "motion.")
