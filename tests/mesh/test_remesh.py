from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from nerf2mesh.mesh import FieldAccess, MeshConfig, build_mesh
from nerf2mesh.mesh.shapes import icosphere, torus
from nerf2mesh.mesh.surface import remesh as remesh_module
from nerf2mesh.mesh.surface.remesh import remesh, split_polygons
from nerf2mesh.mesh.surface.simplify import simplify

RING, _ = simplify(torus(0.6, 0.25, 120, 60), 4000)


def test_even_triangles():
    pytest.importorskip("pyacvd")
    found = remesh(RING, "isotropic", 2000)
    assert found.mesh.is_watertight and abs(found.mesh.n_faces - 2000) < 250 and found.quads is None
    assert found.figures["min_angle_p5_deg"] > found.figures["min_angle_p5_before_deg"]
    assert found.mesh.volume == pytest.approx(RING.volume, rel=0.02)


def test_quads():
    pytest.importorskip("pyinstantmeshes")
    found = remesh(RING, "quad", 1500)
    assert found.quads.shape[1] == 4 and found.mesh.is_watertight and abs(len(found.quads) - 1500) < 375
    assert len(found.mesh.faces) == 2 * len(found.quads)
    assert found.mesh.volume == pytest.approx(RING.volume, rel=0.03)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(remesh_module, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pyacvd", None)
    for kind, package in (("isotropic", "pyacvd"), ("quad", "pyinstantmeshes")):
        with pytest.raises(ValueError, match=rf"expected the package {package}.*nerf2mesh\[remesh\]"):
            remesh(RING, kind, 2000)


def test_a_result_that_is_another_surface_is_refused(monkeypatch):
    ball = simplify(torus(0.6, 0.25, 60, 30), 500)[0]
    for broken, word in (
        ((ball.vertices, ball.faces[:-5]), "open"),
        ((ball.vertices * 1.3, ball.faces), "off the surface"),
        ((RING.vertices, RING.faces), "4000 faces for 500"),
    ):
        monkeypatch.setattr(remesh_module, "_isotropic", lambda mesh, n, broken=broken: broken)
        with pytest.raises(ValueError, match=word):
            remesh(RING, "isotropic", 500)
    monkeypatch.setattr(remesh_module, "_isotropic", lambda mesh, n: (ball.vertices, ball.faces))
    assert remesh(RING, "isotropic", 500).mesh.n_faces == 500


def test_in_the_whole_way_a_refused_result_leaves_the_decimated_mesh(monkeypatch):
    access = FieldAccess(logit=lambda p: 0.6 - p.norm(dim=-1), activation=torch.sigmoid, level=0.0)
    config = MeshConfig(resolution=32, target_faces=500, smooth_radius=0.0, fill_hidden=False, remesh="isotropic")
    even = simplify(icosphere(3, 0.6), 520)[0]
    for made, kept in (((even.vertices, even.faces), True), ((even.vertices, even.faces[:-9]), False)):
        monkeypatch.setattr(remesh_module, "_isotropic", lambda mesh, n, made=made: made)
        mesh, report = build_mesh(access, config)
        assert report["remesh"]["kept"] is kept and mesh.n_faces == (even.n_faces if kept else 500)
        assert mesh.is_watertight and ("open" in report["remesh"].get("reason", "")) is not kept


def test_bad_requests():
    with pytest.raises(ValueError, match="kind"):
        remesh(RING, "hexagons", 100)
    with pytest.raises(ValueError, match="target_faces"):
        remesh(RING, "quad", 3)
    with pytest.raises(ValueError, match="closed mesh"):
        remesh(RING.select_faces(np.arange(10)), "quad", 100)


def test_quads_become_triangles():
    assert split_polygons(np.array([[0, 1, 2, 3], [4, 5, 6, 6]])).tolist() == [[0, 1, 2], [4, 5, 6], [0, 2, 3]]
