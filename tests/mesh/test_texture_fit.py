from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nerf2mesh.mesh import FieldAccess
from nerf2mesh.mesh.shapes import torus
from nerf2mesh.mesh.texture.bake import FieldViews, bake_loss, settle
from nerf2mesh.mesh.texture.texture_fit import bilinear_taps, fit_texture, texel_weights
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.render.rasterizer_reference import sample_texture
from nerf2mesh.types import Camera, Rendering


def painted(seed: int, size: int = 64):
    """A torus with a smooth random texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] * (2 * np.pi / size)
    waves = [0.5 + 0.4 * np.sin(a * x + b * y + c) for a, b, c in zip(*rng.integers(1, 4, (2, 3)), rng.random(3) * 6)]
    texture = np.round(255 * np.stack(waves, -1)).astype(np.uint8)
    return replace(torus(0.6, 0.25, 60, 30), texture=texture)


def shown_as(mesh, opacity: float = 1.0) -> FieldAccess:
    """A "field" that looks like a mesh, perhaps half transparent."""

    def render(camera: Camera) -> Rendering:
        image = rasterize_mesh(mesh, camera, supersample=2)
        return Rendering(opacity * image.rgb, opacity * image.opacity, image.depth)

    return FieldAccess(logit=lambda p: -p.norm(dim=-1), render=render)


def test_taps_are_those_of_the_rasterizer():
    mesh, uv = painted(0), np.random.default_rng(1).uniform(-1, 2, (200, 2))
    texel, share = bilinear_taps(uv, 64, 64)
    colors = mesh.texture.reshape(-1, 3) / 255.0
    assert np.allclose((colors[texel] * share[..., None]).sum(1), sample_texture(mesh.texture, uv), atol=1e-12)


def test_the_matrix_times_the_texture_is_the_picture():
    mesh, camera = painted(0), Camera.orbit(30.0, 25.0, width_px=48)
    matrix, whole = texel_weights(mesh, camera)
    image = rasterize_mesh(mesh, camera, supersample=2).rgb.reshape(-1, 3).numpy()
    assert np.abs(matrix @ (mesh.texture.reshape(-1, 3) / 255.0) - image).max() < 2e-3
    assert whole.sum() > 300 and np.allclose(np.asarray(matrix.sum(1)).reshape(-1)[whole], 1.0)


@pytest.mark.parametrize("opacity", [1.0, 0.8])
def test_a_wrong_texture_becomes_the_shown_one_at_other_views(opacity):
    truth, wrong = painted(0), painted(5)
    access = shown_as(truth, opacity)
    views = FieldViews.of(access, 4, 64)
    before = bake_loss(wrong, views)["color_psnr"]
    (close, figures), (far, _) = fit_texture(wrong, access, n_views=8, size_px=64)
    after = [bake_loss(mesh, views)["color_psnr"] for mesh in (close, far)]
    assert before < 20 and after[0] > 28 and before + 3 < after[1] < after[0]
    assert figures["psnr_after"] > figures["psnr_before"] + 10 and np.array_equal(close.uv, wrong.uv)


def test_nothing_shown_gives_nothing():
    mesh = painted(0)
    assert fit_texture(mesh, shown_as(mesh, 0.1), n_views=4, size_px=32) == []


def test_a_mesh_sinks_to_where_its_colors_are():
    truth = painted(0)
    views = FieldViews.of(shown_as(truth), 4, 96)
    large = replace(truth, vertices=truth.vertices + 0.03 * truth.normals)
    settled, figures = settle(large, views, 0.04)
    assert figures["settled"]["offset"] == pytest.approx(0.03) and figures["psnr"] > 30
    assert np.abs(settled.vertices - truth.vertices).max() < 1e-6
    same, figures = settle(truth, views, 0.04)
    assert same is truth and figures["settled"]["offset"] == 0.0
