"""The elastic body against closed forms: rigid motions cost nothing, and are found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerf2mesh.mesh.shapes import box, icosphere, torus
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.motion.body import Body, nearest_rotations

TURN = Rotation.from_euler("xyz", [0.4, -0.9, 1.7]).as_matrix()
SHIFT = np.array([0.3, -0.2, 0.5])


@pytest.fixture(scope="module")
def ring() -> Body:
    return Body.of(torus(n_around=32, n_tube=12))


def test_rotations_are_those_of_kabsch() -> None:
    """scipy's own solution of Wahba's problem; mirrored matrices give rotations too."""
    points = np.random.default_rng(0).normal(size=(20, 9, 3))
    moved = np.random.default_rng(1).normal(size=(20, 9, 3))
    found = nearest_rotations(np.einsum("nka,nkb->nab", moved, points))
    for k in range(20):
        wanted = Rotation.align_vectors(moved[k], points[k])[0].as_matrix()
        np.testing.assert_allclose(found[k], wanted, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(found), 1.0)


def test_a_rigid_motion_costs_nothing_and_is_found(ring: Body) -> None:
    moved = ring.rest @ TURN.T + SHIFT
    turned = ring.rotations(moved)
    np.testing.assert_allclose(turned, np.broadcast_to(TURN, turned.shape), atol=1e-9)
    assert ring.energy(moved) < 1e-24
    np.testing.assert_allclose(ring.laplacian @ moved, ring.pull(turned), atol=1e-12)


def test_the_pull_is_the_gradient_of_the_energy(ring: Body) -> None:
    """For rotations held fixed: d/dx of 1/2 sum w |x_i - x_j - (R_i + R_j)/2 (X_i - X_j)|^2 is L x - b."""
    random = np.random.default_rng(2)
    moved = ring.rest + 0.05 * random.normal(size=ring.rest.shape)
    turned, way = ring.rotations(moved), random.normal(size=ring.rest.shape)
    i, j = ring.links.T

    def energy(x: np.ndarray) -> float:
        wanted = 0.5 * np.einsum("eab,eb->ea", turned[i] + turned[j], ring.rest[i] - ring.rest[j])
        return float(0.5 * (ring.weights * ((x[i] - x[j] - wanted) ** 2).sum(1)).sum())

    slope = (energy(moved + 1e-5 * way) - energy(moved - 1e-5 * way)) / 2e-5
    assert slope == pytest.approx(float(((ring.laplacian @ moved - ring.pull(turned)) * way).sum()), rel=1e-6)


def test_links_go_through_the_inside() -> None:
    """Of a ball the links beside the edges join what lies far apart: it cannot be pressed flat cheaply."""
    ball = icosphere(3, 0.5)
    body = Body.of(ball)
    edges = len(np.unique(np.sort(ball.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0))
    through = body.links[edges:]
    assert len(through) > 0.4 * ball.n_vertices
    lengths = np.linalg.norm(ball.vertices[through[:, 0]] - ball.vertices[through[:, 1]], axis=1)
    assert (lengths > 0.5).all()
    flat = ball.vertices * [1.0, 1.0, 0.3]
    alone = np.arange(len(body.links)) < edges
    assert body.energy(flat) > 2.0 * float(alone.mean()) * Body(
        body.rest, body.faces, body.links[alone], body.weights[alone], body.laplacian, body.spread
    ).energy(flat)


def test_loose_pieces_are_held() -> None:
    """Two boxes are one body: no piece is free of the other."""
    one = box()
    both = TriangleMesh(
        np.concatenate([one.vertices, 0.3 * one.vertices + [2.0, 0.0, 0.0]]),
        np.concatenate([one.faces, one.faces + one.n_vertices]),
    )
    values = np.linalg.eigvalsh(Body.of(both).laplacian.toarray())
    assert values[0] == pytest.approx(0.0, abs=1e-9) and values[1] > 1e-3
