"""The paint-over and the mask: pictures that a person made from a rendering, with the camera of that rendering."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerf2mesh.inputs.picture import read_picture
from nerf2mesh.refine.camera_file import read_camera
from nerf2mesh.refine.config import RefineConfig
from nerf2mesh.types import Camera


@dataclass(frozen=True, eq=False)
class Painting:
    """paint: straight RGBA [h, w, 4] in [0, 1] or None; mask: bool [h, w] or None; camera in the mesh's own frame."""

    paint: np.ndarray | None = None
    opaque: bool = False
    """The paint-over has no transparency of its own."""
    mask: np.ndarray | None = None
    camera: Camera | None = None
    sha256: str = ""
    """Of the paint-over."""


def read_painting(config: RefineConfig) -> Painting:
    """What `refine.paint`, `refine.mask` and `refine.camera` name.

    Raises:
        ValueError: a file is missing or damaged, a picture is of another size than its camera's, or the mask is empty.
    """
    if config.paint is None and config.mask is None:
        if config.camera is not None:
            raise ValueError("refine.camera: expected a paint-over or a mask beside it, got neither; leave it out")
        return Painting()
    camera = read_camera(_camera_path(config))
    paint, digest = (None, "") if config.paint is None else _pixels(config.paint, "refine.paint", camera)
    mask = None if config.mask is None else _mask(config.mask, camera)
    opaque = paint is not None and bool((paint[..., 3] > 0.999).all())
    return Painting(paint, opaque, mask, camera, digest)


def _camera_path(config: RefineConfig) -> Path:
    """`refine.camera`, or the JSON file beside the paint-over or the mask."""
    if config.camera is not None:
        return Path(config.camera).expanduser()
    beside = [Path(name).expanduser().with_suffix(".json") for name in (config.paint, config.mask) if name]
    found = [path for path in beside if path.is_file()]
    if not found:
        raise ValueError(
            f"refine.camera: expected the camera of the picture, got none and no {beside[0].name} beside it; name the "
            "JSON file that nerf2mesh-render wrote"
        )
    return found[0]


def _pixels(path: str, setting: str, camera: Camera) -> tuple[np.ndarray, str]:
    """Straight RGBA float32 [h, w, 4] and the file's SHA-256."""
    try:
        picture = read_picture(path, working_side_px=8192)
    except ValueError as error:
        raise ValueError(str(error).replace("input.image", setting, 1)) from error
    height, width = picture.rgba.shape[:2]
    if (height, width) != (camera.height_px, camera.width_px):
        raise ValueError(
            f"{setting}: expected {camera.width_px} x {camera.height_px} px as its camera has, got {width} x {height} "
            f"px in {Path(path).name}; keep the size of the rendering"
        )
    return picture.rgba.astype(np.float32) / np.float32(255.0), picture.sha256


def _mask(path: str, camera: Camera) -> np.ndarray:
    """bool [h, w]: bright and not transparent."""
    rgba, _ = _pixels(path, "refine.mask", camera)
    mask = (rgba[..., :3].mean(-1) > 0.5) & (rgba[..., 3] > 0.5)
    if not mask.any():
        raise ValueError(
            f"refine.mask: expected a region painted white, got none in {Path(path).name}; paint it white on black"
        )
    return mask
