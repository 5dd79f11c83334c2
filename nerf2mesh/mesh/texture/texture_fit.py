"""Corrects a baked texture by the field's own pictures.

Letters
    A pixel is the mean of S x S samples, and a sample that meets the mesh at uv reads four texels bilinearly: the
    mesh's pictures are linear in the texture, A t, with A [pixels, texels] sparse. c: the field's colors, o: its
    opacity. Wanted is the t nearest to the baked t0 that shows the field,
        min_t  sum_i o_i |(A t)_i - c_i|^2 + mu |t - t0|^2,
    solved by conjugate gradients for t - t0, channel by channel.
Colors are straight (divided by the opacity): a texture that was fitted in front of white would carry that white along.
The march along the normal (see `bake`) gives every texel its color and detail; this takes off what the march cannot
know: that pixels look at an angle, through a soft skin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack

from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.texture.bake import bleed
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_mesh, rasterize_uv
from nerf2mesh.types import Camera

STAYS = (0.05, 0.5)
"""mu that are tried: the first follows the pictures closely, which serves a field whose colors are off all over; the
second takes only what many pictures agree on, which serves a field whose pictures disagree about where an edge lies."""
SAMPLES = 2
MIN_OPACITY = 0.5
STEPS = 10


def fit_ring(n: int, size_px: int) -> Camera:
    """`n` cameras around the object, none of them one of `calibrate.view_ring`'s, two nearly from above and below."""
    azimuth = (torch.arange(n) + 0.5) * (360.0 / n)
    elevation = torch.tensor([-5.0, 30.0, -35.0, 60.0]).repeat(n // 4 + 1)[:n]
    if n >= 8:
        elevation[[3, 6]] = torch.tensor([80.0, -75.0])
    return Camera.orbit(azimuth, elevation, width_px=size_px)


def fit_texture(
    mesh: TriangleMesh,
    access: FieldAccess,
    *,
    n_views: int = 12,
    size_px: int = 160,
    progress: Callable[[float], None] | None = None,
) -> list[tuple[TriangleMesh, dict[str, float]]]:
    """For each of `STAYS` the mesh with its texture corrected, and the colors' error at the fitted pixels before and
    after, in dB. Compare them at other cameras to choose. Empty where the field shows nothing.

    Texels that no picture shows keep their color.
    """
    assert mesh.texture is not None and mesh.uv is not None
    matrix, color, weight = _equations(mesh, access, fit_ring(n_views, size_px), progress)
    if not len(weight):
        return []
    seen = np.asarray(matrix.sum(0)).reshape(-1) > 0
    known = (rasterize_uv(mesh.uv, *mesh.texture.shape[:2])["face"] >= 0) | seen.reshape(mesh.texture.shape[:2])
    before, found = mesh.texture[..., :3].reshape(-1, 3) / 255.0, []
    for stay in STAYS:
        after = np.clip(before + _solve(matrix, weight, color - matrix @ before, stay), 0.0, 1.0)
        texture = mesh.texture.copy()
        texture[..., :3] = np.round(255.0 * after).astype(np.uint8).reshape(texture[..., :3].shape)
        errors = [((matrix @ t - color) ** 2).mean(1) @ weight / weight.sum() for t in (before, after)]
        decibels = [-10.0 * float(np.log10(max(e, 1e-12))) for e in errors]
        figures = {"stay": stay, "pixels": len(weight), "psnr_before": decibels[0], "psnr_after": decibels[1]}
        found.append((replace(mesh, texture=bleed(texture, known)), figures))
    return found


def _equations(
    mesh: TriangleMesh, access: FieldAccess, cameras: Camera, progress: Callable[[float], None] | None
) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """A at the pixels that can be used, the straight colors there [n, 3] and the opacities [n]."""
    assert access.render is not None and mesh.uv is not None
    rows, wanted, weights = [], [], []
    n_views = len(cameras.camera_to_world)
    for k in range(n_views):
        shown = access.render(cameras[k])
        opacity = shown.opacity.cpu().numpy().reshape(-1)
        matrix, whole = texel_weights(mesh, cameras[k])
        use = (opacity > MIN_OPACITY) & whole
        rows.append(matrix[np.flatnonzero(use)])
        wanted.append(shown.rgb.cpu().numpy().reshape(-1, 3)[use] / opacity[use, None])
        weights.append(opacity[use])
        if progress is not None:
            progress((k + 1) / (n_views + 1))
    return csr_matrix(vstack(rows, format="csr")), np.concatenate(wanted), np.concatenate(weights)


def texel_weights(mesh: TriangleMesh, camera: Camera) -> tuple[csr_matrix, np.ndarray]:
    """A as a sparse matrix [h * w, texels] (CSR), and which pixels the mesh covers whole, [h * w]."""
    assert mesh.texture is not None and mesh.uv is not None
    height, width = camera.height_px, camera.width_px
    fine = rasterize_mesh(mesh, camera.resized(width * SAMPLES, height * SAMPLES))
    face, weights = fine.extra["face"].numpy(), fine.extra["barycentric"].numpy()
    row, column = np.nonzero(face >= 0)
    pixel = row // SAMPLES * width + column // SAMPLES
    uv = (mesh.uv[face[row, column]] * weights[row, column][..., None]).sum(1)
    texel, share = bilinear_taps(uv, *mesh.texture.shape[:2])
    data = (share / SAMPLES**2).astype(np.float32).reshape(-1)
    shape = (height * width, mesh.texture.shape[0] * mesh.texture.shape[1])
    matrix = csr_matrix((data, (np.repeat(pixel, 4), texel.reshape(-1))), shape=shape)
    return matrix, np.bincount(pixel, minlength=height * width) == SAMPLES**2


def bilinear_taps(uv: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The four texels [n, 4] (row * width + column) that the rasterizer reads at uv [n, 2], and their shares."""
    uv = uv - np.floor(uv)
    x, y = uv[:, 0] * width - 0.5, (1.0 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    wx, wy = x - x0, y - y0
    x0, x1, y0, y1 = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    texel = np.stack([y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1], axis=1)
    share = np.stack([(1 - wx) * (1 - wy), wx * (1 - wy), (1 - wx) * wy, wx * wy], axis=1)
    return texel, share


def _solve(matrix: csr_matrix, weight: np.ndarray, residual: np.ndarray, stay: float) -> np.ndarray:
    """t - t0 [texels, 3] by conjugate gradients on the texels that some pixel reads."""
    used = np.asarray(matrix.sum(0)).reshape(-1)
    n_texels, seen = len(used), np.flatnonzero(used)
    part = matrix.tocsc()[:, seen].tocsr()
    across = part.T.tocsr()

    def normal(x: np.ndarray) -> np.ndarray:
        return across @ (weight[:, None] * (part @ x)) + stay * x

    change = np.zeros((len(seen), residual.shape[1]))
    rest = across @ (weight[:, None] * residual)
    direction, size = rest.copy(), (rest * rest).sum(0)
    for _ in range(STEPS):
        ahead = normal(direction)
        step = size / np.maximum((direction * ahead).sum(0), 1e-30)
        change += step * direction
        rest -= step * ahead
        old, size = size, (rest * rest).sum(0)
        direction = rest + size / np.maximum(old, 1e-30) * direction
    full = np.zeros((n_texels, residual.shape[1]))
    full[seen] = change
    return full
