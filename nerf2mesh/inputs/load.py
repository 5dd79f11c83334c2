"""From an InputConfig to Observations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nerf2mesh.inputs.config import DRAWINGS, InputConfig
from nerf2mesh.inputs.domain import SUPPOSED, understood
from nerf2mesh.inputs.downloaded import check_downloaded
from nerf2mesh.inputs.foreground import Foreground, find_foreground
from nerf2mesh.inputs.frames.load import load_frames
from nerf2mesh.inputs.framing import Window, object_box, object_window, resample, whole_window
from nerf2mesh.inputs.maps import read_maps
from nerf2mesh.inputs.photos import load_photos
from nerf2mesh.inputs.picture import IN_MEMORY, Picture, read_picture
from nerf2mesh.inputs.sheet import load_sheet
from nerf2mesh.inputs.viewpoint.told import with_viewpoint
from nerf2mesh.types import Camera, Observations, View

NOTE_SIDE_PX = 512
MIN_OBJECT_PX = 12


def load_observations(config: InputConfig, data: bytes | None = None) -> Observations:
    """Read the configured picture or photographs and make them ready; with a prompt and no picture, there are no views.

    Photographs: see `photos.load_photos`; a sheet: `sheet.load_sheet`; frames: `frames.load.load_frames`; a drawing:
    `drawing.views.load_drawing`.

    The one view is square, size_px x size_px, straight alpha, seen by `Camera.orbit(azimuth, elevation, ...)`.
    With `recenter` the object is centered and scaled; without, the picture's framing is kept, padded to a square.
    Notes for the report: path, sha256, format, file_size_px, foreground (the method), mask_share, window (left, top,
    side in pixels of the picture as read), picture (uint8 [h, w, 3], over white), mask (uint8 [h, w]), warnings; and
    where `elevation_deg` or `fov_deg` is auto, viewpoint (see `viewpoint.told.with_viewpoint`).

    data: the bytes of a picture file, instead of the configured one.

    Raises:
        UncertainMask: the mask is doubtful; it holds the candidates (see `candidates_in`).
        ValueError: in one line what is wrong with the picture and what to do.
    """
    if config.kind == "photos" and data is None:
        return load_photos(replace(config, domain="photo") if config.domain == "auto" else config)
    if config.kind == "frames" and data is None:
        return load_frames(config)
    if config.kind == "sheet" and data is None:
        return load_sheet(config)
    if config.kind == "drawing" and data is None:
        from nerf2mesh.inputs.drawing.views import load_drawing  # its packages are an extra

        return load_drawing(config)
    if data is None and not config.image and config.prompt.strip():
        for name in ("depth", "normal"):
            if getattr(config, name):
                raise ValueError(f"input.{name}: expected a picture beside it, got none; add input.image=PICTURE")
        return Observations((), config.prompt, {"warnings": []}, config.negative_prompt)
    check_downloaded(config)
    picture = read_picture(config.image if data is None else IN_MEMORY, data)
    found, domain, kind, said = _cut_out(picture, config)
    config, guessed = with_viewpoint(config, found.rgba)
    window, warnings = _window(picture, found, config)
    image = resample(found.rgba, window, config.size_px)
    camera = Camera.orbit(
        config.azimuth_deg,
        config.elevation_deg,
        distance=config.distance,
        fov_deg=config.fov_deg,
        width_px=config.size_px,
    )
    maps = read_maps(config, picture, found.rgba[..., 3], window, camera)
    view = View(torch.from_numpy(image), camera, domain=domain, depth=maps.depth, normal=maps.normal)
    notes = _notes(picture, found, window) | maps.notes | guessed | kind
    notes["warnings"] = [*found.warnings, *warnings, *maps.warnings, *said]
    return Observations((view,), config.prompt, notes, config.negative_prompt)


def _cut_out(picture: Picture, config: InputConfig) -> tuple[Foreground, str, dict[str, object], list[str]]:
    """The object, the kind of the picture, its note for the report and its warnings.

    With auto the kind is asked of the object with the paper that its strokes enclose; what is no drawing is cut again.
    """
    asked = replace(config, domain=SUPPOSED) if config.domain == "auto" else config
    found = find_foreground(picture, asked)
    domain, kind, said = understood(config.domain, found.rgba)
    if asked is not config and domain not in DRAWINGS:
        found = find_foreground(picture, replace(config, domain=domain))
    return found, domain, kind, said


def _window(picture: Picture, found: Foreground, config: InputConfig) -> tuple[Window, list[str]]:
    alpha = found.rgba[..., 3]
    if not config.recenter:
        return whole_window(*alpha.shape), []
    top, bottom, left, right = object_box(alpha)
    longer = max(bottom - top, right - left)
    if longer < MIN_OBJECT_PX:
        raise ValueError(
            f"input.image: expected an object of at least {MIN_OBJECT_PX} px, got {longer} px in {picture.path}; "
            "use a larger picture or crop it"
        )
    warnings = []
    if top == 0 or left == 0 or bottom == alpha.shape[0] or right == alpha.shape[1]:
        warnings.append("the object touches the picture's border; what lies beyond it is taken for empty")
    window = object_window(alpha, config.fill)
    if window[2] < 0.5 * config.size_px:
        warnings.append(f"the object is only {longer} px large and is enlarged {config.size_px / window[2]:.1f} times")
    return window, warnings


def _notes(picture: Picture, found: Foreground, window: Window) -> dict[str, object]:
    step = max(1, -(-max(picture.rgba.shape[:2]) // NOTE_SIDE_PX))
    shown = picture.rgba[::step, ::step]
    opacity = shown[..., 3:] / 255.0
    over_white = shown[..., :3] * opacity + 255.0 * (1.0 - opacity)
    return {
        "path": picture.path,
        "sha256": picture.sha256,
        "format": picture.format,
        "file_size_px": picture.file_size_px,
        "foreground": found.method,
        "mask_share": found.share,
        "window": window,
        "picture": np.round(over_white).astype(np.uint8),
        "mask": np.round(found.rgba[::step, ::step, 3] * 255.0).astype(np.uint8),
    }


def demo_picture(name: str = "duck") -> Path:
    """A picture that comes with the package, "duck" or "wizard", taken from azimuth 35 and elevation 20 degrees."""
    path = Path(__file__).resolve().parents[1] / "assets" / "demo" / f"{name}.png"
    if not path.is_file():
        raise ValueError(f"demo_picture: expected duck or wizard, got {name!r}; choose one of them")
    return path
