"""The maps that come with one picture, brought into its view: the same window, the same pixels, the world's axes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.framing import Window, resample_known
from nerf2mesh.inputs.maps.depth import understood_depth
from nerf2mesh.inputs.maps.files import read_map
from nerf2mesh.inputs.maps.normal import understood_normal
from nerf2mesh.inputs.picture import Picture
from nerf2mesh.types import Camera, DepthMap

SHOWN_PX = 512
LEAST_PIXELS = 16


@dataclass(frozen=True)
class Maps:
    """What a view gets; facts, pictures and warnings are for the report."""

    depth: DepthMap | None = None
    normal: Float[Tensor, "h w 3"] | None = None
    notes: dict[str, object] = field(default_factory=dict[str, object])
    warnings: list[str] = field(default_factory=list[str])


def read_maps(
    config: InputConfig, picture: Picture, alpha: Float[np.ndarray, "h w"], window: Window, camera: Camera
) -> Maps:
    """The maps that `input.depth` and `input.normal` name, of the upright picture, in the view of `window`.

    alpha: the object's mask at the size at which the picture was read, which for large ones is a part of the file's.

    Raises:
        ValueError: in one line what is wrong with a map and what to do.
    """
    if config.depth is None and config.normal is None:
        return Maps()
    size, factor = upright_size(picture)
    mask = np.kron(alpha > 0.5, np.ones((factor, factor), bool))[: size[1], : size[0]]
    mask = np.pad(mask, [(0, size[1] - mask.shape[0]), (0, size[0] - mask.shape[1])])
    at_file = (window[0] * factor, window[1] * factor, window[2] * factor)
    depth = normal = None
    facts: dict[str, object] = {}
    shown: dict[str, object] = {}
    warnings: list[str] = []
    if config.depth is not None:
        found = understood_depth(read_map("input.depth", config.depth, size, n_channels=1), mask, config)
        values, known = resample_known(found.values[..., None], found.known & mask, at_file, camera.width_px)
        _check_left("input.depth", known)
        along_axis = config.depth_along == "axis"
        depth = DepthMap(torch.from_numpy(values[..., 0]), torch.from_numpy(known), found.kind, along_axis)
        facts |= found.facts
        warnings += found.warnings
        shown["depth_picture"] = _grey(found.values, found.known & mask)
    if config.normal is not None:
        file = read_map("input.normal", config.normal, size, n_channels=3)
        read = understood_normal(file, mask, picture_rays(size, at_file, camera), camera, config)
        values, known = resample_known(read.normals, mask & (read.normals != 0).any(-1), at_file, camera.width_px)
        _check_left("input.normal", known)
        unit = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-6) * known[..., None]
        normal = torch.from_numpy(unit.astype(np.float32))
        facts |= read.facts
        warnings += read.warnings
        shown["normal_picture"] = _thinned(np.round(127.5 + 127.5 * read.normals).astype(np.uint8))
    return Maps(depth, normal, {"maps": facts, **shown}, warnings)


def upright_size(picture: Picture) -> tuple[tuple[int, int], int]:
    """(width, height) of the upright picture as its file has it, and by how much it was reduced when it was read."""
    height, width = picture.rgba.shape[:2]
    across, down = picture.file_size_px
    factor = max(1, math.ceil(max(across, down) / max(height, width) - 1e-9))
    turned = (math.ceil(across / factor), math.ceil(down / factor)) != (width, height)
    return ((down, across) if turned else (across, down)), factor


def picture_rays(size: tuple[int, int], window: Window, camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """Unit directions in camera axes through the pixels of a whole picture (width, height) whose `window` the camera
    shows."""
    left, top, side = window
    scale = camera.width_px / side
    x = ((np.arange(size[0]) + 0.5 - left) * scale - float(camera.principal_px[0])) / float(camera.focal_px[0])
    y = -((np.arange(size[1]) + 0.5 - top) * scale - float(camera.principal_px[1])) / float(camera.focal_px[1])
    across, up = np.meshgrid(x, y)
    rays = np.stack([across, up, -np.ones_like(across)], -1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def _check_left(setting: str, known: Bool[np.ndarray, "h w"]) -> None:
    if int(known.sum()) < LEAST_PIXELS:
        raise ValueError(
            f"{setting}: expected at least {LEAST_PIXELS} known pixels in the framed view, got {int(known.sum())}; "
            "give a larger picture or raise input.size_px"
        )


def _grey(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    low, high = values[known].min(), values[known].max()
    grey = np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0) * known
    return _thinned(np.round(grey * 255.0).astype(np.uint8))


def _thinned(picture: np.ndarray) -> np.ndarray:
    step = max(1, -(-max(picture.shape[:2]) // SHOWN_PX))
    return picture[::step, ::step]
