"""From a depth file to what its values mean: which are known, and whether larger is farther."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.maps.files import MapFile
from nerf2mesh.inputs.maps.rim import nearness
from nerf2mesh.utils.names import printable

FAR = 1e9
"""Larger values are a renderer's background."""
SURE = 0.15
"""Rank correlation from which the rim tells depths from disparities."""
FEW_LEVELS = 24
KINDS = {"world": "world", "metric": "affine", "relative": "affine", "inverse": "inverse"}
"""input.depth_kind -> the kind of the `DepthMap`; metric with the picture's own framing leaves only a scale open."""


@dataclass(frozen=True)
class ReadDepth:
    """values [h, w] at the picture's size, which of them are known, the `DepthMap`'s kind, and what was assumed."""

    values: Float[np.ndarray, "h w"]
    known: Bool[np.ndarray, "h w"]
    kind: str
    facts: dict[str, object]
    warnings: list[str] = field(default_factory=list[str])


def understood_depth(file: MapFile, mask: Bool[np.ndarray, "h w"], config: InputConfig) -> ReadDepth:
    """What a depth map says about the object of `mask`.

    Unknown are: infinite values and those beyond FAR; 0 in files of integers. Negative depths (OpenGL's z) are turned
    around. `auto` asks the rim (`nearness`); without an answer larger is farther.

    Raises:
        ValueError: too little of the object has a depth, or all of it the same.
    """
    values = file.values[..., 0].astype(np.float64)
    known = np.isfinite(values) & (np.abs(values) < FAR)
    known = known & (values != 0) if file.levels else known
    seen = known & mask
    share = float(seen.sum()) / max(int(mask.sum()), 1)
    name = printable(file.path)
    if share < 0.5:
        raise ValueError(
            f"input.depth: expected depths over the object, got them at {share:.0%} of its pixels in {name}; give the "
            "map of this picture, with infinity (of integers: 0) only where nothing is known"
        )
    low, high = np.percentile(values[seen], [2, 98])
    if not high - low > 1e-6 * max(abs(low), abs(high)):
        raise ValueError(
            f"input.depth: expected depths that differ over the object, got {low:g} everywhere in {name}; leave the "
            "map out, or export it again"
        )
    turned = bool(high < 0)
    values = np.where(known, -values if turned else values, 0.0)
    kind, said = _kind(values, seen, config)
    warnings = ["depths are negative and were turned around"] if turned else []
    levels = len(np.unique(values[seen]))
    if levels < FEW_LEVELS:
        warnings.append(f"the depth map has only {levels} levels on the object; 16 bits are better")
    facts: dict[str, object] = {
        "depth": f"{said}{', as told' if config.depth_kind != 'auto' else ''}, along the {config.depth_along}",
        "depth known": f"{share:.1%} of the object",
    }
    if config.depth_kind == "auto":
        warnings.append(f"the depth map was taken for {said}; input.depth_kind says otherwise")
    return ReadDepth(_scaled(values, seen, kind), known, kind, facts, warnings)


def _kind(values: np.ndarray, seen: np.ndarray, config: InputConfig) -> tuple[str, str]:
    """The kind, and in words what was found and how sure it is."""
    if config.depth_kind != "auto":
        own_camera = config.depth_kind == "metric" and not config.recenter
        return "scale" if own_camera else KINDS[config.depth_kind], config.depth_kind
    near = nearness(values, seen)
    if abs(near) < SURE:
        return "affine", f"relative depth, larger is farther, though the outline does not tell ({near:+.2f})"
    if near < 0:
        return "affine", f"relative depth, larger is farther ({near:+.2f})"
    return "inverse", f"inverse depth, larger is nearer ({near:+.2f})"


def _scaled(values: np.ndarray, seen: np.ndarray, kind: str) -> np.ndarray:
    """What the kind leaves open brought near 1, so that the fits of scale and shift are exact in float32."""
    if kind == "world":
        return values.astype(np.float32)
    if kind == "scale":
        return (values / np.median(values[seen])).astype(np.float32)
    low, high = np.percentile(values[seen], [2, 98])
    return ((values - low) / (high - low)).astype(np.float32)
