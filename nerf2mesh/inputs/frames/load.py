"""From an InputConfig to the Observations of a clip: the first frame as a view, and all frames as a `Clip`.

The first frame is framed as a picture is, so that the canonical shape lies in the box as any other does. All frames
keep the lens of that view: their window is wider, so that the motion stays within it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nerf2mesh.inputs.config import FOREGROUND_METHODS, InputConfig
from nerf2mesh.inputs.domain import SUPPOSED, understood
from nerf2mesh.inputs.figures import LEVEL_DEG
from nerf2mesh.inputs.foreground import Foreground, find_foreground
from nerf2mesh.inputs.frames.cuts import cut_in
from nerf2mesh.inputs.frames.in_hull import window_in_hull
from nerf2mesh.inputs.frames.read import Frames, read_frames
from nerf2mesh.inputs.framing import Window, object_box, object_window, resample, whole_window
from nerf2mesh.inputs.sheet import load_sheet
from nerf2mesh.inputs.viewpoint.told import with_viewpoint
from nerf2mesh.types import Camera, Clip, Observations, View

CLIP_PX = 256
"""Pixels of a frame that cover what the first frame's view covers."""
MOST_PX = 768
MARGIN = 0.04
"""Of the window's side, around everything that the object touches."""
NOTE_SIDE_PX = 512
LONG_LENS = 4.0
"""Times as far away, and as narrow, as the clip's camera."""


@dataclass(frozen=True)
class CutOuts:
    """The frames with their masks, straight RGBA [h, w, 4] each, the kind of their picture and what was said of it."""

    found: list[Foreground]
    domain: str
    kind: dict[str, object]
    warnings: list[str]


def load_frames(config: InputConfig) -> Observations:
    """The clip, its first frame as the reference view at `input.azimuth_deg`, and the views of `input.sheet`.

    Notes for the report as of a picture (of the first frame), and `frames`: number, seconds, sides of the sheet.

    Raises:
        ValueError: in one line, one frame only, frames of several sizes, an empty mask or a cut in the clip, with the
            frame's number; other angles than frames.
    """
    frames = read_frames(config)
    angles = config.azimuths_deg or [config.azimuth_deg] * len(frames.pictures)
    if len(angles) != len(frames.pictures):
        raise ValueError(
            f"input.azimuths_deg: expected angles for {len(frames.pictures)} frames, got {len(angles)}; give as many, "
            "or none for a still camera"
        )
    cuts = _cut_out(frames, config)
    config, guessed = with_viewpoint(replace(config, domain=cuts.domain), cuts.found[0].rgba)
    images = [one.rgba for one in cuts.found]
    sheet = _sheet_views(config)
    own = _first_window(images[0], sheet, config)
    view = View(torch.from_numpy(resample(images[0], own, config.size_px)), _camera(config), domain=cuts.domain)
    clip = _clip(frames, images, own, angles, config)
    facts: dict[str, object] = {"frames": len(angles), "seconds": round(frames.times_s[-1], 3)}
    facts |= {"sheet views": len(sheet)} if sheet else {}
    notes = _notes(frames, cuts, facts) | guessed
    return Observations((view, *sheet), config.prompt, notes, config.negative_prompt, clip)


def _cut_out(frames: Frames, config: InputConfig) -> CutOuts:
    """Every frame by the method that serves the first."""
    asked = replace(config, domain=SUPPOSED) if config.domain == "auto" else config
    first = _found(frames, 0, asked.without_questions())
    domain, kind, said = understood(config.domain, first.rgba)
    if domain != asked.domain:
        first = _found(frames, 0, replace(config, domain=domain).without_questions())
    method = first.method if first.method in FOREGROUND_METHODS else config.foreground
    others = replace(config, domain=domain, foreground=method).without_questions()
    found = [first, *(_found(frames, k, others) for k in range(1, len(frames.pictures)))]
    cut = cut_in([one.rgba for one in found])
    if cut is not None:
        raise ValueError(
            f"input.frames: expected one scene, got a cut before {frames.name(cut)}; take one of its scenes with "
            f"input.range=[{frames.numbers[0]},{frames.numbers[cut - 1]}] or input.range=[{frames.numbers[cut]},"
            f"{frames.numbers[-1]}]"
        )
    return CutOuts(found, domain, kind, said)


def _found(frames: Frames, k: int, config: InputConfig) -> Foreground:
    """The k-th frame's object; ValueError with its number where there is none."""
    try:
        found = find_foreground(replace(frames.pictures[k], path=frames.name(k)), config)
    except ValueError as error:
        raise ValueError(str(error).replace("input.image:", "input.frames:", 1)) from error
    if not (found.rgba[..., 3] > 0.5).any():
        raise ValueError(
            f"input.frames: expected an object in {frames.name(k)}, got an empty mask by {found.method}; leave the "
            "frame out with input.range, or cut the object out (PNG with transparency)"
        )
    return found


def _sheet_views(config: InputConfig) -> tuple[View, ...]:
    """The sheet's figures, seen through a long lens: nearly without perspective, as they are drawn, and of one kind
    with the clip's pictures, as a prior wants them."""
    if not config.sheet:
        return ()
    named: dict[str, Any] = {"hull_margin": None}  # the clip moves what the sheet shows
    named |= {"image": None, "images": list(config.sheet), "frames": None, "sheet": [], "range": [], "azimuths_deg": []}
    if len(config.sheet) == 1:
        named |= {"image": config.sheet[0], "images": []}
    try:
        found = load_sheet(replace(config, kind="sheet", **named)).views
    except ValueError as error:
        raise ValueError(str(error).replace("input.image:", "input.sheet:", 1)) from error
    half = np.arctan(np.tan(np.radians(config.fov_deg / 2)) / LONG_LENS)
    lens = {"distance": config.distance * LONG_LENS, "fov_deg": float(np.degrees(2 * half)), "width_px": config.size_px}
    cameras = [Camera.orbit(view.camera.azimuth_deg, view.camera.elevation_deg, **lens) for view in found]
    return tuple(replace(view, camera=camera) for view, camera in zip(found, cameras))


def _first_window(rgba: np.ndarray, sheet: Sequence[View], config: InputConfig) -> Window:
    """The window of the first frame: as a picture's, or with a sheet so that the object lies in the hull of its
    figures: as wide as in a figure from the same side or the opposite one (the height changes with the elevation),
    else as large as agrees best."""
    alpha = rgba[..., 3]
    level = [view for view in sheet if abs(float(view.camera.elevation_deg)) <= LEVEL_DEG]
    if not level:
        return object_window(alpha, config.fill) if config.recenter else whole_window(*alpha.shape)
    turned = [np.radians(float(view.camera.azimuth_deg) - config.azimuth_deg) for view in level]
    same = [view for view, angle in zip(level, turned) if abs(np.sin(angle)) < np.sin(np.radians(5.0))]
    known = _extent((same or level)[0].image[..., 3].numpy()) / config.size_px
    top, bottom, left, right = object_box(alpha)
    axis = 1 if same else 0
    side = float((bottom - top, right - left)[axis] / known[axis])
    start = (left + right - side) / 2, (top + bottom - side) / 2, side
    return window_in_hull(alpha, sheet, _camera(config), start, resized=not same) or start


def _extent(alpha: np.ndarray) -> np.ndarray:
    """Height and width of the object, [2]."""
    top, bottom, left, right = object_box(alpha)
    return np.array([bottom - top, right - left])


def _camera(config: InputConfig) -> Camera:
    return Camera.orbit(
        config.azimuth_deg,
        config.elevation_deg,
        distance=config.distance,
        fov_deg=config.fov_deg,
        width_px=config.size_px,
    )


def _clip(
    frames: Frames, images: Sequence[np.ndarray], own: Window, angles: Sequence[float], config: InputConfig
) -> Clip:
    """All frames through the lens of the window `own`, wide enough for everything that moves."""
    boxes = np.array([object_box(image[..., 3]) for image in images])
    top, left = boxes[:, 0].min(), boxes[:, 2].min()
    bottom, right = boxes[:, 1].max(), boxes[:, 3].max()
    side = max(bottom - top, right - left) * (1.0 + 2.0 * MARGIN)
    wide = ((left + right - side) / 2, (top + bottom - side) / 2, float(side))
    size = int(min(round(CLIP_PX * side / own[2]), MOST_PX))
    scale = size / side
    elevations = config.elevations_deg if len(config.elevations_deg) == len(angles) else config.elevation_deg
    cameras = Camera.orbit(
        torch.tensor(angles, dtype=torch.float32),
        torch.as_tensor(elevations, dtype=torch.float32),
        distance=config.distance,
        fov_deg=config.fov_deg,
        width_px=size,
    )
    focal = cameras.focal_px * (own[2] * scale / size)
    middle = torch.tensor([own[0] + own[2] / 2 - wide[0], own[1] + own[2] / 2 - wide[1]], dtype=torch.float32) * scale
    cameras = replace(cameras, focal_px=focal, principal_px=middle.expand_as(focal).contiguous())
    shown = torch.stack([torch.from_numpy(resample(image, wide, size)) for image in images])
    return Clip(shown, cameras, frames.times_s)


def _notes(frames: Frames, cuts: CutOuts, facts: dict[str, object]) -> dict[str, object]:
    first, picture = cuts.found[0], frames.pictures[0]
    step = max(1, -(-max(picture.rgba.shape[:2]) // NOTE_SIDE_PX))
    shown = picture.rgba[::step, ::step]
    opacity = shown[..., 3:] / 255.0
    said = dict.fromkeys(warning for one in cuts.found for warning in one.warnings)
    return {
        "path": frames.source,
        "sha256": frames.sha256,
        "format": picture.format,
        "file_size_px": picture.file_size_px,
        "foreground": first.method,
        "mask_share": first.share,
        "picture": np.round(shown[..., :3] * opacity + 255.0 * (1.0 - opacity)).astype(np.uint8),
        "mask": np.round(first.rgba[::step, ::step, 3] * 255.0).astype(np.uint8),
        "frames": facts,
        "warnings": [*said, *cuts.warnings],
        **cuts.kind,
    }
