"""Meshes in far surroundings, against the reflection at single points and what occlusion must do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.fields.harmonics import spherical_harmonics
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere, torus
from nerf2mesh.render.brdf import reflected
from nerf2mesh.render.relight import LAMPS, environment, relight_mesh, spread
from nerf2mesh.render.shading import to_linear
from nerf2mesh.types import Camera

CAMERA = Camera.orbit(20.0, 15.0, width_px=64)


def ball(**material: float) -> TriangleMesh:
    mesh = icosphere(4, 0.8)
    colors = np.tile(np.float32([0.7, 0.4, 0.2]), (mesh.n_vertices, 1))
    return replace(mesh, vertex_normals=mesh.vertices / 0.8, vertex_colors=colors, **material)


@pytest.mark.parametrize("name", list(LAMPS))
def test_surroundings_are_light_everywhere_and_of_a_picturable_brightness(name: str) -> None:
    radiance = spherical_harmonics(spread(2000), 2) @ environment(name)
    assert float(radiance.min()) > -0.1 and 0.3 < float(radiance.mean()) < 1.2


def test_the_ball_in_the_middle_of_the_picture_is_the_reflection_at_its_nearest_point() -> None:
    surroundings = environment("evening")
    shown = relight_mesh(ball(roughness=0.4, metallic=1.0), CAMERA, surroundings)
    eye = torch.nn.functional.normalize(CAMERA.position.double(), dim=0)[None]
    albedo = to_linear(torch.tensor([[0.7, 0.4, 0.2]], dtype=torch.float64))
    one = torch.ones(1, dtype=torch.float64)
    wanted = reflected(albedo, 0.4 * one, one, eye, eye, surroundings)[0]
    found = to_linear(shown.rgb[31:33, 31:33].double()).mean((0, 1))
    assert torch.allclose(found, wanted.clamp(0.0, 1.0), atol=0.01)


def test_smooth_metal_mirrors_and_plaster_does_not() -> None:
    """The sharper the lobe, the more the picture varies; the deviation of a rough metal lies below."""
    spreads = []
    for roughness in (0.1, 1.0):
        shown = relight_mesh(ball(roughness=roughness, metallic=1.0), CAMERA, environment("studio"))
        spreads.append(float(shown.rgb[shown.opacity > 0.99].mean(-1).std()))
    assert spreads[0] > 1.2 * spreads[1]


def test_the_packed_texture_is_read_and_occlusion_darkens() -> None:
    ring = torus(n_around=32, n_tube=16)
    plain = replace(ring, texture=np.full((16, 16, 3), 160, np.uint8), roughness=0.4, metallic=0.6)
    packed = np.tile(np.uint8([255, 102, 153]), (16, 16, 1))
    surroundings = environment("sky")
    whole = relight_mesh(plain, CAMERA, surroundings).rgb
    read = relight_mesh(replace(plain, roughness=1.0, metallic=0.0, orm=packed), CAMERA, surroundings).rgb
    assert torch.allclose(whole, read, atol=2e-3)
    darker = relight_mesh(replace(plain, orm=np.tile(np.uint8([128, 102, 153]), (16, 16, 1))), CAMERA, surroundings).rgb
    assert bool((darker <= whole + 1e-6).all()) and float(darker.sum()) < 0.95 * float(whole.sum())
