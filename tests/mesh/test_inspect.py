from __future__ import annotations

import json

import numpy as np
import pytest

from nerf2mesh.mesh import TriangleMesh, inspect_mesh
from nerf2mesh.mesh.shapes import box, icosphere, torus
from nerf2mesh.mesh.surface.intersections import count_self_intersections


def joined(*meshes: TriangleMesh) -> TriangleMesh:
    offsets = np.cumsum([0] + [m.n_vertices for m in meshes])
    faces = [m.faces + offset for m, offset in zip(meshes, offsets)]
    return TriangleMesh(np.concatenate([m.vertices for m in meshes]), np.concatenate(faces))


def test_topology_of_known_meshes():
    ball = icosphere(2, 0.2)
    two = joined(torus(), TriangleMesh(ball.vertices + np.array([2, 0, 0]), ball.faces))
    report = json.loads(json.dumps(inspect_mesh(two, self_intersections=True)))
    assert report["watertight"] and report["components"] == 2 and report["genus"] == 1 and report["euler"] == 2
    assert report["edge_valence"] == {"2": 3 * two.n_faces // 2} and report["self_intersections"] == 0
    assert report["edges_wound_twice"] == report["boundary_edges"] == 0


def test_flaws_are_counted():
    cube = box()
    opened = inspect_mesh(cube.select_faces(np.arange(12) > 1))
    assert not opened["watertight"] and opened["boundary_edges"] == 4 and opened["genus"] is None
    flipped = TriangleMesh(cube.vertices, np.concatenate([cube.faces[:1, ::-1], cube.faces[1:]]))
    assert inspect_mesh(flipped)["edges_wound_twice"] == 3 and not inspect_mesh(flipped)["watertight"]
    book = TriangleMesh(
        np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0.0]]),
        np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]),
    )
    assert inspect_mesh(book)["nonmanifold_edges"] == 1
    thin = TriangleMesh(np.array([[0, 0, 0], [1, 0, 0], [0.5, 1e-3, 0], [2, 0, 0]]), np.array([[0, 1, 2], [0, 1, 3]]))
    assert inspect_mesh(thin)["faces_below_1_deg"] == 2 and inspect_mesh(thin)["degenerate_faces"] == 1
    assert inspect_mesh(TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3))))["components"] == 0


def test_quality_of_equilateral_triangles():
    report = inspect_mesh(icosphere(0))
    assert report["min_angle_deg"]["p0"] == pytest.approx(60.0) and report["aspect"]["p100"] == pytest.approx(1.0)


def test_seams_do_not_open_a_mesh_but_count_as_charts():
    report = inspect_mesh(torus(n_around=24, n_tube=12))
    assert report["watertight"] and report["uv"]["charts"] == 1
    assert report["uv"]["utilisation"] == pytest.approx(1.0) and report["uv"]["overlapping_texels"] == 0


def test_stretch_of_maps_with_known_singular_values():
    square = TriangleMesh(
        np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0.0]]),
        np.array([[0, 1, 2], [0, 2, 3]]),
        uv=np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]]) * 0.5,
    )
    figures = inspect_mesh(square)["uv"]
    assert figures["stretch_l2"] == pytest.approx(1.0)
    assert figures["texels_per_unit"]["p50"] == pytest.approx(1024 * 0.25)
    square.uv = square.uv * np.float32([1.0, 0.25])
    assert inspect_mesh(square)["uv"]["stretch_l2"] == pytest.approx(np.sqrt((4.0 + 64.0) / 2.0 / 16.0))


def test_overlapping_uv_are_found():
    ring = torus(n_around=24, n_tube=12)
    folded = TriangleMesh(ring.vertices, ring.faces, uv=np.abs(ring.uv - 0.5))
    assert inspect_mesh(folded)["uv"]["overlapping_texels"] > 1000


def test_intersections_are_counted_like_brute_force():
    rng = np.random.default_rng(0)
    soup = TriangleMesh(
        (rng.random((60, 1, 3)) + 0.3 * rng.standard_normal((60, 3, 3))).reshape(-1, 3), np.arange(180).reshape(-1, 3)
    )
    expected = sum(crosses(soup.corners[i], soup.corners[j]) for i in range(60) for j in range(i))
    assert expected > 50 and count_self_intersections(soup) == expected
    assert (
        count_self_intersections(
            joined(box(), TriangleMesh(box().vertices + np.array([0.31, 0.17, 0.23]), box().faces))
        )
        > 0
    )


def crosses(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether an edge of one triangle passes through the other: solves for the point."""
    for a, b in ((one, two), (two, one)):
        for k in range(3):
            p, q = a[k], a[(k + 1) % 3]
            matrix = np.stack([q - p, b[0] - b[1], b[0] - b[2]], axis=1)
            t, u, v = np.linalg.solve(matrix, b[0] - p)
            if 0 < t < 1 and u > 0 and v > 0 and u + v < 1:
                return True
    return False
