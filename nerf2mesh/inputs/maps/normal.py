"""From a normal file to unit normals in world axes: which axes it has is asked of the silhouette, or told.

Letters
    Camera axes are the house's (OpenGL): x right, y up, z towards the camera. AXES turn a file's numbers into those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.maps.files import MapFile
from nerf2mesh.inputs.maps.rim import rim
from nerf2mesh.types import Camera
from nerf2mesh.utils.names import printable

AXES = {"opengl": (1, 1, 1), "directx": (1, -1, 1), "opencv": (1, -1, -1), "inverted": (-1, -1, -1)}
"""directx: green points down. opencv: y down and z away from the camera. inverted: all three, as
threestudio reads them."""
FRAMES = {"camera": tuple(AXES), "world": ("opengl", "directx")}
"""Readings that may be told."""
UNUSUAL = ("world", "directx")
"""A left-handed world is not guessed."""
SURE = 0.2
"""By so much the best reading has to be ahead of the next; `agreement` goes from -3 to 3."""
STEEPEST, SMOOTH = 0.2, 0.5
"""Slopes are looked at where n_z is larger, and where they change by less from pixel to pixel: on one surface."""
UNLIKE = 0.8
"""Agreement below which not even the best reading fits the silhouette."""


@dataclass(frozen=True)
class ReadNormal:
    """normals [h, w, 3] in world axes at the picture's size, unit or 0 (unknown), and what was assumed."""

    normals: Float[np.ndarray, "h w 3"]
    facts: dict[str, object]
    warnings: list[str] = field(default_factory=list[str])


def understood_normal(
    file: MapFile, mask: Bool[np.ndarray, "h w"], rays: Float[np.ndarray, "h w 3"], camera: Camera, config: InputConfig
) -> ReadNormal:
    """What a normal map says about the object of `mask`. rays: unit directions in camera axes through the picture.

    Integers are 2 v / largest - 1, floats too (of largest 1) where that makes them unit vectors.

    Raises:
        ValueError: normals that are not of unit length, cover too little of the object, or are all alike.
    """
    decoded, length = _decoded(file, mask)
    unit = decoded / np.maximum(length, 1e-6)[..., None]
    unit[(length < 0.5) | ~np.isfinite(length)] = 0.0
    seen = mask & (length >= 0.5)
    if seen.any() and float(np.std(unit[seen], axis=0).max()) < 1e-3:
        raise ValueError(
            f"input.normal: expected normals that differ over the object, got {np.round(unit[seen][0], 3).tolist()} "
            f"everywhere in {printable(file.path)}; leave the map out, or export it again"
        )
    to_camera = camera.camera_to_world[:3, :3].double().numpy()
    scores = {
        (frame, axes): agreement(in_camera(unit, frame, axes, to_camera), seen, rays)
        for frame, known in FRAMES.items()
        for axes in known
        if config.normal_frame in ("auto", frame) and config.normal_axes in ("auto", axes)
        if (frame, axes) != UNUSUAL or (config.normal_frame, config.normal_axes) == UNUSUAL
    }
    if not scores:
        raise ValueError(
            f"input.normal_axes: expected opengl or directx with input.normal_frame={config.normal_frame}, got "
            f"{config.normal_axes}; change one"
        )
    ranked = sorted(scores, key=lambda reading: -scores[reading])
    frame, axes = ranked[0]
    ahead = scores[ranked[0]] - scores[ranked[1]] if len(ranked) > 1 else np.inf
    warnings = []
    if ahead < SURE:
        frame, axes = next(iter(scores))
        warnings.append(
            f"the outline does not tell how the normals are meant; taken for {axes} in the {frame}'s axes: say "
            "input.normal_axes and input.normal_frame"
        )
    elif len(ranked) > 1:
        warnings.append(
            f"the normals were taken for {axes} in the {frame}'s axes (ahead by {ahead:.2f}); input.normal_axes and "
            "input.normal_frame say otherwise"
        )
    if scores[frame, axes] < UNLIKE:
        warnings.append(f"the normals fit the outline badly ({scores[frame, axes]:.2f} of 3); look at the map")
    facts: dict[str, object] = {
        "normals": f"{axes}, {frame} axes",
        "normals and outline agree": f"{scores[frame, axes]:.2f} of 3",
    }
    world = in_camera(unit, frame, axes, to_camera) @ to_camera.T
    return ReadNormal(world.astype(np.float32), facts, warnings)


def in_camera(
    stored: Float[np.ndarray, "h w 3"], frame: str, axes: str, to_world: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Stored normals in camera axes, if that is how they are meant. to_world: the camera's rotation."""
    signed = stored * np.array(AXES[axes], np.float64)
    return signed @ to_world if frame == "world" else signed


def agreement(
    normals: Float[np.ndarray, "h w 3"], seen: Bool[np.ndarray, "h w"], rays: Float[np.ndarray, "h w 3"]
) -> float:
    """How well normals in camera axes fit what is seen, -3 to 3: the mean cosine between them and the way out at the
    rim, the share that faces the camera (from -1 to 1), and how far they are those of a surface (`integrability`)."""
    if not seen.any():
        return -3.0
    band, outward = rim(seen)
    at_rim = float((normals[band][:, :2] * outward[band]).sum(-1).mean())
    facing = float(((normals[seen] * rays[seen]).sum(-1) < 0.05).mean())
    return at_rim + 2.0 * facing - 1.0 + integrability(normals, seen)


def integrability(normals: Float[np.ndarray, "h w 3"], seen: Bool[np.ndarray, "h w"]) -> float:
    """The correlation of dp/dy and dq/dx, p and q being the slopes -n_x / n_z and -n_y / n_z: 1 for a height field
    (Frankot and Chellappa 1988), -1 with one axis upside down, 0 where there is nothing to see."""
    steep = np.maximum(normals[..., 2], STEEPEST)
    p, q = -normals[..., 0] / steep, -normals[..., 1] / steep
    whole = seen[1:, 1:] & seen[:-1, 1:] & seen[1:, :-1] & seen[:-1, :-1] & (normals[1:, 1:, 2] > STEEPEST)
    p_up = (p[:-1] - p[1:])[:, 1:][whole]
    q_right = (q[:, 1:] - q[:, :-1])[1:][whole]
    near = (np.abs(p_up) < SMOOTH) & (np.abs(q_right) < SMOOTH)
    both = np.sqrt((p_up[near] ** 2).sum() * (q_right[near] ** 2).sum())
    return float((p_up[near] * q_right[near]).sum() / both) if both > 1e-6 else 0.0


def _decoded(file: MapFile, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[h, w, 3] and the length [h, w]. ValueError where the lengths on the object are not about 1."""
    values = np.where(np.isfinite(file.values), file.values, 0.0).astype(np.float64)
    spread = 2.0 * values / (file.levels or 1) - 1.0
    decoded = spread if file.levels or _away(spread, mask) < _away(values, mask) else values
    empty = (np.abs(values - (file.levels + 1) / 2) <= 1).all(-1) if file.levels else (values == 0).all(-1)
    decoded[empty] = 0.0
    length = np.linalg.norm(decoded, axis=-1)
    known = mask & ~empty
    share = float(known.sum()) / max(int(mask.sum()), 1)
    name = printable(file.path)
    if share < 0.5:
        raise ValueError(
            f"input.normal: expected normals over the object, got them at {share:.0%} of its pixels in {name}; give "
            "the map of this picture"
        )
    wrong = _away(decoded, known)
    if wrong > 0.25:
        raise ValueError(
            f"input.normal: expected normals of length 1, got other lengths at {wrong:.0%} of the object in {name}; "
            "give raw normals, not a shaded or gamma-corrected picture"
        )
    return decoded, length


def _away(normals: np.ndarray, where: np.ndarray) -> float:
    """The share of normals whose length is far from 1."""
    return float((np.abs(np.linalg.norm(normals[where], axis=-1) - 1.0) > 0.25).mean()) if where.any() else 1.0
