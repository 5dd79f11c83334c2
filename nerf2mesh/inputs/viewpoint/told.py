"""Settings in which `auto` stands for what the viewpoint network says of the pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.viewpoint.predict import estimated
from nerf2mesh.types import DEFAULT_FOV_DEG

AUTO = "auto"


def with_viewpoint(config: InputConfig, picture: Float[np.ndarray, "h w 4"]) -> tuple[InputConfig, dict[str, object]]:
    """The settings with numbers for the elevation and the field of view of a cut-out picture, and for the report
    {"viewpoint": facts}: each estimate, and its confidence (the probability of at most 10 degrees of error)."""
    if AUTO not in (config.elevation_deg, config.fov_deg):
        return config, {}
    guess = estimated([picture])[0]
    facts: dict[str, object] = {}
    if config.elevation_deg == AUTO:
        facts |= {"elevation_deg": round(guess.elevation_deg, 1), "confidence": round(guess.elevation_confidence, 2)}
        config = replace(config, elevation_deg=guess.elevation_deg)
    if config.fov_deg == AUTO:
        facts |= {"fov_deg": round(guess.fov_deg, 1), "fov_confidence": round(guess.fov_confidence, 2)}
        config = with_fov(config, guess.fov_deg)
    return config, {"viewpoint": facts}


def with_fov(config: InputConfig, fov_deg: float) -> InputConfig:
    """The settings with this field of view, the distance such that the object keeps the size that it has with the
    usual one."""
    nearer = math.tan(math.radians(DEFAULT_FOV_DEG / 2)) / math.tan(math.radians(fov_deg / 2))
    return replace(config, fov_deg=fov_deg, distance=max(1.1, config.distance * nearer))


def guessed_elevations(config: InputConfig, pictures: Sequence[Float[np.ndarray, "h w 4"]]) -> list[float]:
    """`input.elevations_deg`, else `input.elevation_deg` for all, or with auto each picture's own estimate."""
    if config.elevations_deg:
        return list(config.elevations_deg)
    if config.elevation_deg != AUTO:
        return [config.elevation_deg] * len(pictures)
    return [guess.elevation_deg for guess in estimated(pictures)]


def usual_fov(config: InputConfig) -> InputConfig:
    """For several pictures, whose lens nothing is known of: `auto` is the usual field of view."""
    return replace(config, fov_deg=DEFAULT_FOV_DEG) if config.fov_deg == AUTO else config
