"""Words for a view: the prompt with the direction in it, and which direction a camera looks from.

The object's front is +X (azimuth 0); azimuth grows counter-clockwise seen from above. Thresholds as threestudio has
them: front within `prior.view_half_deg` (45 degrees) of 0, back within as much of 180, overhead above 60 degrees of
elevation.
"""

from __future__ import annotations

from torch import Tensor

from nerf2mesh.distill import OVERHEAD_DEG
from nerf2mesh.priors.base import Branch
from nerf2mesh.types import Camera

HALF_DEG = 45.0
DIRECTIONS = ("front", "side", "back", "overhead")
PLAIN, UNCONDITIONAL, NEGATIVE = "plain", "unconditional", "negative"


def view_prompts(prompt: str) -> dict[str, str]:
    """The prompt as it is and with each direction."""
    return {PLAIN: prompt} | {name: f"{prompt}, {name} view" if prompt else "" for name in DIRECTIONS}


def direction(cameras: Camera, half_deg: float = HALF_DEG) -> list[str]:
    """One of DIRECTIONS for each camera of a batch, flattened."""
    return [DIRECTIONS[i] for i in direction_index(cameras, half_deg).tolist()]


def direction_index(cameras: Camera, half_deg: float = HALF_DEG) -> Tensor:
    """Which of DIRECTIONS each camera of a batch looks from, flattened, int64, where the cameras are."""
    away, elevation = _wrapped(cameras.azimuth_deg).abs().reshape(-1), cameras.elevation_deg.reshape(-1)
    around = (away > half_deg).long() + (away >= 180.0 - half_deg).long()
    return around.masked_fill(elevation > OVERHEAD_DEG, DIRECTIONS.index("overhead"))


def keys(branch: Branch, cameras: Camera, use_directions: bool, half_deg: float = HALF_DEG) -> list[str]:
    """Which prompt each of the cameras [B, V] is told under a branch."""
    n = cameras.camera_to_world[..., 0, 0].numel()
    if branch == "conditional":
        return direction(cameras, half_deg) if use_directions else [PLAIN] * n
    return [branch] * n


def _wrapped(angle_deg: Tensor) -> Tensor:
    """To [-180, 180)."""
    return (angle_deg + 180.0) % 360.0 - 180.0
