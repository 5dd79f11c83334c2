"""Draws a TriangleMesh on the CPU, or on a GPU: color, silhouette, depth, normals, without OpenGL.

Pixel (row, column) has its center at (column + 0.5, row + 0.5); a sample that lies on an edge belongs to exactly one of
the two triangles. Depth is the distance along the unit ray. Color and normals are premultiplied by the opacity, which
is the share of covered samples. The result is the same for any number of threads, and on a GPU from run to run.
Textures are looked up bilinearly in sRGB and repeat.
"""

from __future__ import annotations

import ctypes
import warnings
from functools import cache

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.kernels import _lib
from nerf2mesh.render.raster_arrays import (
    GREY,
    CImages,
    CMesh,
    CViews,
    MeshArrays,
    ViewArrays,
    allocate_images,
    check_arrays,
)
from nerf2mesh.render.rasterizer_device import has_kernels, rasterize_on_device
from nerf2mesh.render.rasterizer_reference import rasterize_arrays_reference
from nerf2mesh.types import Camera, Rendering

SHADINGS = ("albedo", "lambert", "normal")


@cache
def native_library() -> ctypes.CDLL | None:
    """The CPU library, or None (with one warning) where it cannot be loaded: the numpy twin then serves."""
    library = _lib.cpu()
    if library is not None and not hasattr(library, "n2m_rasterize"):
        hint = "the native library is older than the rasterizer: a slow numpy twin draws meshes; build it again"
        warnings.warn(hint, stacklevel=2)
        return None
    return library


def rasterize_mesh(
    mesh,
    camera: Camera,
    *,
    supersample: int = 1,
    shading: str = "albedo",
    light_direction: Tensor | None = None,
    ambient: float = 0.35,
    smooth: bool = True,
    near: float = 1e-3,
    device: torch.device | str = "cpu",
) -> Rendering:
    """Renders a `TriangleMesh` from one camera or a batch of cameras.

    supersample: samples per pixel along one axis.
    shading: "albedo", "lambert" (albedo x (ambient + (1 - ambient) |n . l|)) or "normal" (the color (n + 1) / 2).
    light_direction: [3] or [*b, 3] towards the light, world axes; by default the light is at the camera.
    smooth: interpolate vertex normals, else the faces' own.
    device: where it is drawn; a GPU without its native library leaves it to the CPU and is sent the result.
    Returns a Rendering of shape [*b, h, w, ...] on `device`; `extra` has "face" (int32, -1 for none) and "barycentric"
    [..., 3] of the nearest hit in the pixel.
    """
    if shading not in SHADINGS:
        raise ValueError(f"shading: expected one of {SHADINGS}, got {shading!r}; choose one")
    lights = _lights(camera, light_direction) if shading == "lambert" else None
    views = ViewArrays(*camera_arrays(camera), supersample, camera.orthographic, lights, ambient, near)
    images = rasterize_to(device, _mesh_arrays(mesh, smooth), views)
    batch = tuple(camera.batch_shape)
    tensors = {name: image.reshape(*batch, *image.shape[1:]) for name, image in images.items()}
    rgb, opacity, normal = tensors["rgb"], tensors["opacity"], tensors["normal"]
    if shading == "normal":
        rgb = 0.5 * (normal + opacity[..., None])
    extra = {"face": tensors["face"], "barycentric": tensors["barycentric"]}
    return Rendering(rgb, opacity, tensors["depth"], normal, extra)


def rasterize_uv(uv: np.ndarray, height: int, width: int) -> dict[str, np.ndarray]:
    """Draws faces in texture space; uv [F, 3, 2], v upward, row 0 of the result is v = 1.

    Returns "face" [h, w] int32 (-1: empty texel), "barycentric" [h, w, 3], "layers" [h, w] (above 1: faces overlap).
    """
    n_faces = len(uv)
    vertices = np.zeros((3 * n_faces, 3))
    vertices[:, :2] = uv.reshape(-1, 2)
    pose = np.eye(4)
    pose[2, 3] = 1.0
    camera = np.concatenate([pose.reshape(-1), [width, height], [0.0, height]])[None]
    arrays = MeshArrays(vertices, np.arange(3 * n_faces, dtype=np.int32).reshape(-1, 3))
    views = ViewArrays(camera, height, width, orthographic=True)
    images = rasterize_arrays(arrays, views, outputs=("face", "barycentric", "layers"))
    return {name: image[0] for name, image in images.items()}


def rasterize_arrays(
    mesh: MeshArrays,
    views: ViewArrays,
    *,
    outputs: tuple[str, ...] = ("rgb", "opacity", "depth", "normal", "face", "barycentric"),
) -> dict[str, np.ndarray]:
    """The native kernel on plain arrays; returns the images named in `outputs`, each [n, h, w, ...].

    Faces with a corner that is not finite, or too far away for the arithmetic, are left out. ValueError for the rest.
    """
    check_arrays(mesh, views)
    return _on_cpu(mesh, views, outputs)


def rasterize_to(
    device: torch.device | str,
    mesh: MeshArrays,
    views: ViewArrays,
    *,
    outputs: tuple[str, ...] = ("rgb", "opacity", "depth", "normal", "face", "barycentric"),
) -> dict[str, Tensor]:
    """`rasterize_arrays` as tensors on `device`, drawn there where it is a GPU with its native library."""
    device = torch.device(device)
    check_arrays(mesh, views)
    if device.type == "cuda" and has_kernels():
        return rasterize_on_device(mesh, views, outputs, device)
    return {name: torch.from_numpy(image).to(device) for name, image in _on_cpu(mesh, views, outputs).items()}


def _on_cpu(mesh: MeshArrays, views: ViewArrays, outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The CPU library's images of checked arrays, or its twin's."""
    library = native_library()
    if library is None:
        return rasterize_arrays_reference(mesh, views, outputs=outputs)
    n_cameras = len(views.cameras)
    images = allocate_images(outputs, n_cameras, views.height, views.width)
    texture_shape = (0, 0, 0) if mesh.texture is None else mesh.texture.shape
    c_mesh = CMesh(*map(_pointer, mesh), len(mesh.vertices), len(mesh.faces), *texture_shape, GREY)
    c_views = CViews(
        _pointer(views.cameras),
        _pointer(views.lights),
        n_cameras,
        views.height,
        views.width,
        views.supersample,
        int(views.orthographic),
        views.ambient,
        views.near,
    )
    c_images = CImages(**{name: _pointer(image) for name, image in images.items()})
    library.n2m_set_threads(torch.get_num_threads())
    status = library.n2m_rasterize(ctypes.byref(c_mesh), ctypes.byref(c_views), ctypes.byref(c_images))
    if status == 3:
        raise MemoryError(f"rasterizer: no memory for {n_cameras} images of {views.width} x {views.height} pixels")
    if status:
        raise _lib.refusal(library, "rasterize")
    return images


def _geometry(mesh) -> tuple[np.ndarray, np.ndarray]:
    if not np.isfinite(mesh.vertices).all():
        raise ValueError("mesh.vertices: expected finite positions, got NaN or infinity; repair the mesh first")
    return np.ascontiguousarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.int32)


def _mesh_arrays(mesh, smooth: bool) -> MeshArrays:
    textured = mesh.uv is not None and mesh.texture is not None
    return MeshArrays(
        *_geometry(mesh),
        np.ascontiguousarray(mesh.normals, np.float32) if smooth else None,
        None if mesh.vertex_colors is None else np.ascontiguousarray(mesh.vertex_colors, np.float32),
        np.ascontiguousarray(mesh.uv, np.float32) if textured else None,
        np.ascontiguousarray(mesh.texture, np.uint8) if textured else None,
    )


def camera_arrays(camera: Camera) -> tuple[np.ndarray, int, int]:
    """Cameras [n, 20] as `ViewArrays` has them, height and width."""
    parts = [camera.camera_to_world.flatten(-2), camera.focal_px, camera.principal_px]
    packed = torch.cat([part.detach().cpu().double() for part in parts], dim=-1).reshape(-1, 20)
    return np.ascontiguousarray(packed.numpy()), camera.height_px, camera.width_px


def _lights(camera: Camera, direction: Tensor | None) -> np.ndarray:
    light = camera.camera_to_world[..., :3, 2] if direction is None else torch.as_tensor(direction)
    light = torch.nn.functional.normalize(light.detach().cpu().float(), dim=-1)
    return np.ascontiguousarray(light.expand(*camera.batch_shape, 3).reshape(-1, 3).numpy())


def _pointer(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data
