from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nerf2mesh.mesh.shapes import icosphere, torus
from nerf2mesh.mesh.texture.smooth_colors import heat_step, smooth_colors


@pytest.mark.parametrize("degree", [1, 2])
def test_a_balls_harmonics_decay_as_the_heat_equation_says(degree):
    """On a sphere of radius a, L has the eigenvalue l (l + 1) / a^2 on harmonics of degree l."""
    a, radius = 0.6, 0.15
    ball = icosphere(5, a)
    z = ball.vertices[:, 2] / a
    harmonic = z if degree == 1 else 1.5 * z * z - 0.5
    found = heat_step(ball, harmonic[:, None], radius)[:, 0]
    decay = 1.0 / (1.0 + 0.5 * radius**2 * degree * (degree + 1) / a**2)
    assert found == pytest.approx(decay * harmonic, abs=0.01)


def test_a_constant_stays_and_the_mean_is_kept():
    ball = icosphere(4, 0.6)
    noise = np.random.default_rng(0).random((ball.n_vertices, 3))
    assert heat_step(ball, np.ones((ball.n_vertices, 1)), 0.1) == pytest.approx(1.0)
    area = np.bincount(ball.faces.reshape(-1), np.repeat(ball.face_areas / 3, 3))
    after = heat_step(ball, noise, 0.1)
    assert area @ after == pytest.approx(area @ noise) and after.std() < 0.25 * noise.std()


def test_grain_goes_and_what_is_coarse_stays():
    rng = np.random.default_rng(0)
    ring = torus(0.6, 0.25, 120, 60)
    size = 256
    across = np.linspace(0, 2 * np.pi, size, endpoint=False)
    coarse = 0.5 + 0.3 * np.sin(across)[None, :, None] * np.ones((size, 1, 3))
    grainy = np.clip(coarse + 0.1 * rng.standard_normal(coarse.shape), 0, 1)
    soft = smooth_colors(replace(ring, texture=np.round(255 * grainy).astype(np.uint8)), 0.04)
    off = soft.texture / 255.0 - coarse
    assert np.abs(off).mean() < 0.012 < 0.05 < np.abs(grainy - coarse).mean()
    assert np.array_equal(soft.vertices, ring.vertices)


def test_a_mesh_too_coarse_to_carry_the_colors_keeps_its_texture():
    ring = replace(torus(0.6, 0.25, 12, 6), texture=np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    assert smooth_colors(ring, 0.04) is ring


def test_vertex_colors_are_blurred_in_place_of_a_texture():
    ball = icosphere(4, 0.6)
    noisy = replace(ball, vertex_colors=np.random.default_rng(0).random((ball.n_vertices, 3)).astype(np.float32))
    soft = smooth_colors(noisy, 0.1)
    assert soft.vertex_colors.dtype == np.float32 and soft.vertex_colors.std() < 0.25 * noisy.vertex_colors.std()
    assert smooth_colors(ball, 0.1) is ball
