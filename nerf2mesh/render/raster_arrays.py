"""What the rasterizer reads and writes: arrays in its own types, their checks, and the C structures of them.

The structures mirror csrc/n2m_mesh_abi.h. The library knows no lengths and its twin trusts what it gets: both are
called with arrays that `check_arrays` has passed.
"""

from __future__ import annotations

import ctypes
import math
from typing import NamedTuple

import numpy as np

GREY = 0.8
"""Color of a mesh that has none."""
MAX_SIDE = 1 << 17
"""Samples along one side of an image."""
MAX_SUPERSAMPLE = 64


class CMesh(ctypes.Structure):
    """`n2m_raster_mesh` of csrc/n2m_mesh_abi.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("vertices", "faces", "normals", "colors", "uv", "texture")]
    _fields_ += [(name, ctypes.c_int64) for name in ("n_vertices", "n_faces")]
    _fields_ += [(name, ctypes.c_int32) for name in ("texture_height", "texture_width", "texture_channels")]
    _fields_ += [("grey", ctypes.c_float)]


class CViews(ctypes.Structure):
    """`n2m_raster_views` of csrc/n2m_mesh_abi.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("cameras", "lights")]
    _fields_ += [(name, ctypes.c_int32) for name in ("n_cameras", "height", "width", "supersample", "orthographic")]
    _fields_ += [("ambient", ctypes.c_float), ("near_depth", ctypes.c_double)]


class CImages(ctypes.Structure):
    """`n2m_raster_images` of csrc/n2m_mesh_abi.h."""

    _fields_ = [
        (name, ctypes.c_void_p) for name in ("rgb", "opacity", "depth", "normal", "face", "barycentric", "layers")
    ]


class MeshArrays(NamedTuple):
    """What the rasterizer reads of a mesh, in its own types; see csrc/n2m_mesh_abi.h."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None


class ViewArrays(NamedTuple):
    """Cameras [n, 20] (camera_to_world, focal_px, principal_px) and how to sample and light them."""

    cameras: np.ndarray
    height: int
    width: int
    supersample: int = 1
    orthographic: bool = False
    lights: np.ndarray | None = None
    ambient: float = 0.0
    near: float = 1e-3


def check_arrays(mesh: MeshArrays, views: ViewArrays) -> None:
    """ValueError, by name, for arrays of the wrong shape or type and for numbers that no picture can be made of."""
    n_vertices, n_faces, n_cameras = len(mesh.vertices), len(mesh.faces), len(views.cameras)
    _check_array("vertices", mesh.vertices, np.float64, (n_vertices, 3))
    _check_array("faces", mesh.faces, np.int32, (n_faces, 3))
    _check_array("normals", mesh.normals, np.float32, (n_vertices, 3))
    _check_array("colors", mesh.colors, np.float32, (n_vertices, 3))
    _check_array("uv", mesh.uv, np.float32, (n_faces, 3, 2))
    if mesh.texture is not None:
        _check_array(
            "texture", mesh.texture, np.uint8, (*mesh.texture.shape[:2], 4 if mesh.texture.shape[-1] == 4 else 3)
        )
        if not mesh.texture.size:
            raise ValueError(f"texture: expected at least one texel, got shape {mesh.texture.shape}")
    if n_faces and (mesh.faces.min() < 0 or mesh.faces.max() >= n_vertices):
        got = f"{mesh.faces.min()} to {mesh.faces.max()}"
        raise ValueError(f"faces: expected indices from 0 to {n_vertices - 1}, got {got}")
    _check_array("cameras", views.cameras, np.float64, (n_cameras, 20))
    _check_array("lights", views.lights, np.float32, (n_cameras, 3))
    _check_views(views)


def _check_views(views: ViewArrays) -> None:
    if not np.isfinite(views.cameras).all() or not views.cameras[:, 16:18].all():
        raise ValueError("cameras: expected finite numbers and focal lengths other than 0, got others")
    if views.lights is not None and not np.isfinite(views.lights).all():
        raise ValueError("lights: expected finite directions, got NaN or infinity")
    if not 1 <= views.supersample <= MAX_SUPERSAMPLE:
        raise ValueError(f"supersample: expected 1 to {MAX_SUPERSAMPLE} samples per axis, got {views.supersample}")
    side = MAX_SIDE // views.supersample
    for name, size in (("height", views.height), ("width", views.width)):
        if not 1 <= size <= side:
            raise ValueError(f"{name}: expected 1 to {side} pixels at supersample {views.supersample}, got {size}")
    if not math.isfinite(views.ambient):
        raise ValueError(f"ambient: expected a finite share of light, got {views.ambient}")
    if not math.isfinite(views.near) or (views.near < 0 and not views.orthographic):
        raise ValueError(f"near: expected a finite depth of at least 0, got {views.near}")


def image_shapes(outputs: tuple[str, ...], n: int, height: int, width: int) -> dict[str, tuple]:
    """(shape, type) of the images [n, height, width, *] of these names, as the libraries write them."""
    vectors, integers = ("rgb", "normal", "barycentric"), ("face", "layers")
    return {
        name: (
            (n, height, width, 3) if name in vectors else (n, height, width),
            np.dtype(np.int32 if name in integers else np.float32),
        )
        for name in outputs
    }


def allocate_images(outputs: tuple[str, ...], n: int, height: int, width: int) -> dict[str, np.ndarray]:
    """Empty images of these names, see `image_shapes`."""
    return {name: np.empty(*of) for name, of in image_shapes(outputs, n, height, width).items()}


def _check_array(name: str, array: np.ndarray | None, dtype: type, shape: tuple[int, ...]) -> None:
    if array is None:
        return
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        got = f"{array.dtype} {list(array.shape)}" + ("" if array.flags.c_contiguous else ", not contiguous")
        raise ValueError(f"{name}: expected contiguous {np.dtype(dtype)} {list(shape)}, got {got}")
