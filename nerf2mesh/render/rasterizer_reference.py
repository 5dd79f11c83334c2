"""The rasterizer's twin in plain numpy: the same arrays in and out, faces of like size together.

For tests, and for machines without a compiler.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nerf2mesh.render.raster_arrays import GREY, MeshArrays, ViewArrays, allocate_images

CHUNK_SAMPLES = 1 << 20


def rasterize_arrays_reference(
    mesh: MeshArrays,
    views: ViewArrays,
    *,
    outputs: tuple[str, ...] = ("rgb", "opacity", "depth", "normal", "face", "barycentric"),
) -> dict[str, np.ndarray]:
    """See `rasterize_arrays`."""
    images = allocate_images(outputs, len(views.cameras), views.height, views.width)
    for n in range(len(views.cameras)):
        with np.errstate(all="ignore"):  # vertices may be anywhere; what comes out of it is left out
            image = _one_view(mesh, views, n)
        for name in outputs:
            images[name][n] = image[name]
    return images


def _one_view(mesh: MeshArrays, views: ViewArrays, n: int) -> dict[str, np.ndarray]:
    scale = views.supersample
    pose = views.cameras[n, :16].reshape(4, 4)
    focal, principal = views.cameras[n, 16:18] * scale, views.cameras[n, 18:] * scale
    height, width = views.height * scale, views.width * scale
    local = (mesh.vertices - pose[:3, 3]) @ pose[:3, :3]
    depth = -local[:, 2]
    w = np.ones_like(depth) if views.orthographic else depth
    q = np.stack([focal[0] * local[:, 0] + principal[0] * w, -focal[1] * local[:, 1] + principal[1] * w, w], axis=1)
    z, face, bary, layers = _visibility(q, depth, mesh.faces, height, width, views.near)
    image = _shade(mesh, views, n, face, bary)
    y, x = np.mgrid[:height, :width] + 0.5
    ray = np.sqrt(((x - principal[0]) / focal[0]) ** 2 + ((y - principal[1]) / focal[1]) ** 2 + 1.0)
    image["distance"] = np.where(face >= 0, z if views.orthographic else z * ray, 0.0)
    return _resolve(image, z, face, bary, layers, scale)


def _visibility(q: np.ndarray, depth: np.ndarray, faces: np.ndarray, height: int, width: int, near: float) -> tuple:
    """Nearest depth, face and barycentrics per sample, and how many faces cover it."""
    z, face = np.full(height * width, np.inf, np.float32), np.full(height * width, -1, np.int32)
    bary, layers = np.zeros((height * width, 3)), np.zeros(height * width, np.int32)
    for chosen, x, y in _boxes(q, depth, faces, height, width, near):
        for start in range(0, len(chosen), max(1, CHUNK_SAMPLES // x.shape[1])):
            part = slice(start, start + max(1, CHUNK_SAMPLES // x.shape[1]))
            at, hit_depth, hit_face, b = _hits(q, depth, faces, chosen[part], x[part], y[part], height, width, near)
            np.add.at(layers, at, 1)
            order = np.lexsort((hit_face, hit_depth, at))
            first = order[np.unique(at[order], return_index=True)[1]]
            at, hit_depth, hit_face, b = at[first], hit_depth[first], hit_face[first], b[first]
            better = (hit_depth < z[at]) | ((hit_depth == z[at]) & (hit_face < face[at]))
            at = at[better]
            z[at], face[at], bary[at] = hit_depth[better], hit_face[better], b[better]
    shape = (height, width)
    return z.reshape(shape), face.reshape(shape), bary.reshape(*shape, 3), layers.reshape(shape)


def _boxes(
    q: np.ndarray, depth: np.ndarray, faces: np.ndarray, height: int, width: int, near: float
) -> Iterator[tuple]:
    """Groups of faces of like size: their numbers and the columns and rows [n, k * k] of a square that holds each."""
    in_front = (depth[faces] > near).sum(1)
    pixels = q[:, :2] / np.where(depth > near, q[:, 2], 1.0)[:, None]
    low, high = np.floor(pixels[faces].min(1) - 0.5), np.ceil(pixels[faces].max(1) + 0.5)
    low[in_front < 3], high[in_front < 3] = 0.0, [width, height]
    low, high = np.clip(low, 0, [width, height]), np.clip(high, 0, [width, height])
    side = np.where(in_front > 0, (high - low).max(1), 0) * ((high - low).min(1) > 0)
    side[~np.isfinite(q[faces]).all((1, 2)) | ~np.isfinite(side)] = 0
    size = 1
    while size < 2 * max(width, height):
        chosen = np.flatnonzero((side > size // 2) & (side <= size))
        if len(chosen):
            y, x = np.mgrid[:size, :size].reshape(2, 1, -1)
            yield chosen, low[chosen, :1] + x, low[chosen, 1:] + y
        size *= 2


def _hits(q, depth, faces, chosen, x, y, height: int, width: int, near: float) -> tuple:
    """Samples that faces cover: flat pixel, depth, face, barycentrics."""
    corners = q[faces[chosen]]
    edge = np.cross(corners[:, [1, 2, 0]], corners[:, [2, 0, 1]])
    determinant = (edge[:, 0] * corners[:, 0]).sum(-1)
    edge = edge * np.sign(determinant)[:, None, None]
    e = [edge[:, k, :1] * (x + 0.5) + (edge[:, k, 1:2] * (y + 0.5) + edge[:, k, 2:]) for k in range(3)]
    owns = (edge[..., 0] > 0) | ((edge[..., 0] == 0) & (edge[..., 1] > 0))
    sound = (determinant != 0.0) & np.isfinite(determinant) & np.isfinite(edge).all((1, 2))
    hit = (x < width) & (y < height) & sound[:, None]
    for k in range(3):
        hit &= (e[k] > 0) | ((e[k] == 0) & owns[:, k, None])
    row, column = np.nonzero(hit)
    b = np.stack([e[k][row, column] for k in range(3)], axis=1)
    b /= b.sum(1, keepdims=True)
    d = (b * depth[faces[chosen[row]]]).sum(1).astype(np.float32)
    keep = (d > near) & np.isfinite(d)
    row, column, b, d = row[keep], column[keep], b[keep], d[keep]
    at = (y[row, column] * width + x[row, column]).astype(np.int64)
    return at, d, chosen[row].astype(np.int32), b


def _shade(mesh: MeshArrays, views: ViewArrays, n: int, face: np.ndarray, bary: np.ndarray) -> dict[str, np.ndarray]:
    hit = face >= 0
    index, b = mesh.faces[face[hit]], bary[hit][..., None]
    if mesh.normals is None:
        corners = mesh.vertices[index]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    else:
        normal = (mesh.normals[index] * b).sum(1)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-30)
    if mesh.texture is not None and mesh.uv is not None:
        rgb = sample_texture(mesh.texture, (mesh.uv[face[hit]] * b).sum(1))
    elif mesh.colors is not None:
        rgb = (mesh.colors[index] * b).sum(1)
    else:
        rgb = np.full((len(index), 3), GREY)
    if views.lights is not None:
        rgb = rgb * (views.ambient + (1.0 - views.ambient) * np.abs(normal @ views.lights[n])[:, None])
    image = {name: np.zeros((*face.shape, 3)) for name in ("rgb", "normal")}
    image["rgb"][hit], image["normal"][hit] = rgb, normal
    return image


def sample_texture(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear colors [n, 3] in [0, 1] at uv [n, 2]; v points up, the texture repeats."""
    height, width = texture.shape[:2]
    uv = uv - np.floor(uv)
    x, y = uv[:, 0] * width - 0.5, (1.0 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    wx, wy = (x - x0)[:, None], (y - y0)[:, None]
    x0, x1, y0, y1 = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    texels = texture[..., :3] / 255.0
    top = texels[y0, x0] * (1 - wx) + texels[y0, x1] * wx
    return top * (1 - wy) + (texels[y1, x0] * (1 - wx) + texels[y1, x1] * wx) * wy


def _resolve(
    image: dict, z: np.ndarray, face: np.ndarray, bary: np.ndarray, layers: np.ndarray, scale: int
) -> dict[str, np.ndarray]:
    def blocks(a: np.ndarray) -> np.ndarray:
        h, w = a.shape[0] // scale, a.shape[1] // scale
        a = a.reshape(h, scale, w, scale, *a.shape[2:]).swapaxes(1, 2)
        return a.reshape(h, w, scale * scale, *a.shape[4:])

    hits = blocks(face >= 0).sum(2)
    nearest = blocks(z).argmin(2)[..., None]
    return {
        "rgb": blocks(image["rgb"]).mean(2),
        "normal": blocks(image["normal"]).mean(2),
        "opacity": hits / scale**2,
        "depth": blocks(image["distance"]).sum(2) / np.maximum(hits, 1),
        "face": np.take_along_axis(blocks(face), nearest, 2)[..., 0],
        "barycentric": np.take_along_axis(blocks(bary), nearest[..., None], 2)[:, :, 0],
        "layers": blocks(layers).sum(2),
    }
