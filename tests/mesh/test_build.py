from __future__ import annotations

import json
import math
import sys
import tempfile
from dataclasses import replace

import analytic
import numpy as np
import pytest
import torch

from nerf2mesh.mesh import FieldAccess, MeshConfig, TriangleMesh, build_lods, build_mesh, inspect_mesh, save_mesh
from nerf2mesh.mesh.extract.calibrate import calibrate, coarse_logits
from nerf2mesh.mesh.shapes import icosphere, torus
from nerf2mesh.mesh.texture import unwrap as unwrap_module
from nerf2mesh.mesh.texture.bake import bake_texture, normal_march
from nerf2mesh.mesh.texture.unwrap import cut_overlaps, overlap_texels, unwrap, unwrap_box

QUICK = {"resolution": 64, "target_faces": 3000, "texture_size": 256, "calibration_views": 3, "calibration_size_px": 40}
QUICK |= {"calibration_resolution": 48, "bake_views": 2, "bake_view_size_px": 48, "bake_fit_views": 2}
QUICK |= {"bake_fit_size_px": 48}


@pytest.fixture(scope="module")
def built() -> tuple[TriangleMesh, dict, list]:
    calls = []
    access = analytic.solid(analytic.torus())
    mesh, report = build_mesh(access, MeshConfig(**QUICK), lambda stage, fraction: calls.append((stage, fraction)))
    return mesh, report, calls


def test_the_whole_way_gives_a_closed_textured_mesh(built, tmp_path):
    mesh, report, _ = built
    topology = inspect_mesh(TriangleMesh.from_file(save_mesh(mesh, tmp_path / "m.glb")))
    assert topology["watertight"] and topology["genus"] == 1 and topology["components"] == 1
    assert topology["nonmanifold_edges"] == 0 and 2970 <= topology["faces"] <= 3000
    assert topology["uv"]["overlapping_texels"] == 0 and topology["uv"]["inside_unit_square"]
    assert mesh.texture.shape == (256, 256, 3)
    assert mesh.volume == pytest.approx(2 * math.pi**2 * 0.55 * 0.22**2, rel=0.15)
    assert report["bake"]["inside_psnr"] > 26 and report["bake"]["mask_iou"] > 0.95


def test_the_report_is_json_and_tells_what_happened(built):
    _, report, _ = built
    again = json.loads(json.dumps(report))
    assert {"threshold", "extract", "repair", "simplify", "unwrap", "bake", "mesh", "seconds"} <= set(again)
    assert len(again["threshold"]["curve"]) > 10
    assert set(again["threshold"]["curve"][0]) == {"density", "iou", "depth_error"}


def test_progress_names_every_stage_and_ends_each_at_one(built):
    _, report, calls = built
    stages = list(dict.fromkeys(stage for stage, _ in calls))
    assert stages == ["calibrate", "extract", "repair", "simplify", "unwrap", "bake", "compare", "inspect"]
    assert all(max(f for s, f in calls if s == stage) == 1.0 for stage in stages)
    assert list(report["seconds"]) == stages


def test_calibration_finds_the_density_of_the_silhouette():
    """A hard shape in front of fog below it: the best level is between the fog's density and the shape's."""
    shape = analytic.sphere(0.5)
    access = analytic.solid(shape, scale=400.0)
    fog = FieldAccess(
        logit=lambda p: torch.maximum(access.logit(p), (0.0 - 40 * analytic.sphere(0.6)(p)).clamp(-12, 0.0)),
        render=access.render,
    )
    result = calibrate(fog, coarse_logits(fog, 64), n_views=3, size_px=48)
    assert 1.0 < result.density < 400.0 and max(row["iou"] for row in result.curve) > 0.97
    assert result.level == pytest.approx(math.log(result.density), abs=1e-4)


def test_a_transparent_field_cannot_be_calibrated():
    thin = analytic.solid(lambda p: p[:, 0] * 0 + 1.0)
    with pytest.raises(ValueError, match="expected an opaque object"):
        calibrate(thin, coarse_logits(thin, 32), n_views=2, size_px=16)


def test_a_field_too_thin_for_the_threshold_lies_where_its_silhouettes_fit():
    """A ball of density 6: at 25 there is none, and its radius comes out as if no density had been asked for."""
    ball = analytic.sphere(0.5)
    density = lambda p: 6.0 * torch.sigmoid(-60.0 * ball(p))
    access = FieldAccess(
        logit=lambda p: density(p).log(), render=lambda camera: analytic.march(density, analytic.checker, camera, 256)
    )
    config = MeshConfig(**QUICK, fill_hidden=False)
    (free, without), (mesh, report) = (build_mesh(access, replace(config, threshold=t)) for t in (None, 25.0))
    assert np.array_equal(mesh.vertices, free.vertices)
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(0.5, abs=0.08)
    assert report["threshold"]["instead_of"] == 25.0 and "instead_of" not in without["threshold"]
    blind = replace(access, render=None)
    with pytest.raises(ValueError, match=r"field: expected a surface, got logits .* threshold 25"):
        build_mesh(blind, replace(config, threshold=25.0))


def test_fields_that_know_their_level_or_cannot_be_seen():
    shape = analytic.sphere(0.5)
    config = MeshConfig(**QUICK, smooth_radius=0.0, fill_hidden=False)
    distance = FieldAccess(logit=lambda p: -shape(p), activation=torch.sigmoid, level=0.0)
    mesh, report = build_mesh(distance, config)
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(0.5, abs=1e-4)
    assert report["threshold"]["curve"] == [] and mesh.texture is None
    density = FieldAccess(logit=lambda p: math.log(10.0) - 50.0 * shape(p))
    assert np.linalg.norm(build_mesh(density, config)[0].vertices, axis=1) == pytest.approx(0.5, abs=1e-3)


def test_vertex_colors_instead_of_a_texture():
    access = analytic.solid(analytic.sphere(0.5), scale=400.0)
    mesh, report = build_mesh(access, MeshConfig(**QUICK | {"texture": False, "threshold": 30.0}))
    assert mesh.texture is None and mesh.vertex_colors.shape == (mesh.n_vertices, 3)
    assert "unwrap" not in report and report["bake"]["mask_iou"] > 0.95


def test_coarser_meshes_and_a_normal_map(built):
    access = analytic.solid(analytic.torus())
    config = MeshConfig(**QUICK | {"threshold": 30.0, "bake_views": 0, "lods": (800, 200), "normal_map": True})
    config = replace(config, unwrap_time_limit_s=0.0, texture_size=128)
    meshes, report = build_lods(access, config)
    assert [m.n_faces for m in meshes] == pytest.approx([3000, 800, 200], rel=0.01)
    assert [m.texture.shape[0] for m in meshes] == [128, 64, 64] == [m.normal_map.shape[0] for m in meshes]
    assert all(m.is_watertight for m in meshes) and len(report["lods"]) == 2
    assert report["lods"][1]["mesh"]["genus"] == 1


@pytest.mark.slow
def test_two_million_faces():
    """A wrinkled ball of 2 million faces through decimation, unwrap and bake."""

    def wrinkled(p):
        wave = torch.sin(40 * p[:, 0]) * torch.sin(40 * p[:, 1]) * torch.sin(40 * p[:, 2])
        return p.norm(dim=-1) - 0.8 - 0.01 * wave

    access = FieldAccess(logit=lambda p: -wrinkled(p), activation=torch.sigmoid, level=0.0, color=analytic.checker)
    config = MeshConfig(**QUICK | {"resolution": 640, "target_faces": 20000, "smooth_radius": 0.0})
    mesh, report = build_mesh(access, replace(config, fill_hidden=False, bake_views=0))
    assert report["extract"]["faces"] > 2_000_000 and 19_800 <= mesh.n_faces <= 20_000
    assert report["mesh"]["watertight"] and report["mesh"]["genus"] == 0 and mesh.texture is not None


def test_bad_settings_are_named():
    for bad in ({"resolution": 4}, {"texture_size": 1}, {"threshold": -1.0}, {"target_faces": 3}, {"sharpen": True}):
        with pytest.raises(ValueError, match=f"mesh.{next(iter(bad))}"):
            MeshConfig(**bad)
    with pytest.raises(ValueError, match="smooth_radius"):
        build_mesh(analytic.solid(analytic.sphere()), MeshConfig(**QUICK | {"smooth_radius": 1e-4, "threshold": 30.0}))


@pytest.mark.parametrize("limit", [60.0, 0.0])
def test_unwrapping_covers_every_face_once(limit):
    mesh = torus(0.6, 0.25, 40, 20)
    uv, report = unwrap(mesh, 256, padding_px=2, time_limit_s=limit)
    assert report["method"] == ("xatlas" if limit else "box projection")
    assert uv.shape == (mesh.n_faces, 3, 2) and uv.min() >= 0 and uv.max() <= 1 and report["overlap_texels"] == 0
    u, v = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    assert np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).min() > 0


def test_a_slow_or_broken_unwrap_falls_back(monkeypatch, tmp_path):
    mesh = icosphere(2)
    kinds = [("import time; time.sleep(600)", "did not end", 0.5), ("raise SystemExit('boom')", "boom", 300.0)]
    kinds += [("import os; os.kill(os.getpid(), 9)", "SIGKILL", 300.0), ("print('half')", "no whole result", 300.0)]
    for text, word, limit_s in kinds:
        script = tmp_path / "worker.py"
        script.write_text(text)
        monkeypatch.setattr(unwrap_module, "WORKER", script)
        uv, report = unwrap(mesh, 128, time_limit_s=limit_s)
        assert report["method"] == "box projection" and word in report["reason"] and overlap_texels(uv, 128) == 0


def test_an_unwrap_needs_neither_a_temporary_folder_nor_the_name_of_the_program(monkeypatch, tmp_path):
    """A full or closed TMPDIR, and an embedded Python, whose sys.executable is empty."""
    usual, _ = unwrap(icosphere(2), 128)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    monkeypatch.setattr(sys, "executable", "")
    uv, report = unwrap(icosphere(2), 128)
    assert report["method"] == "xatlas" and np.array_equal(uv, usual)


def test_faces_that_lie_over_others_are_moved_aside():
    ring = torus(0.6, 0.25, 40, 20)
    uv = 0.9 * ring.uv
    uv[[5, 300]] = uv[[100, 200]]
    cut, n = cut_overlaps(ring, uv, 512, 2)
    assert n == 2 and overlap_texels(cut, 512) == 0 and cut.min() >= 0.0 and cut.max() <= 1.0
    assert cut_overlaps(ring, 0.9 * ring.uv, 512, 2)[1] == 0


def test_box_projection_cuts_charts_that_would_overlap():
    """A spiral ramp looks up everywhere and lies above itself."""
    angle = np.linspace(0, 6 * np.pi, 120)
    inner = np.stack([0.3 * np.cos(angle), 0.3 * np.sin(angle), 0.1 * angle], 1)
    outer = inner + np.stack([0.4 * np.cos(angle), 0.4 * np.sin(angle), 0 * angle], 1)
    k = np.arange(119)
    faces = np.concatenate([np.stack([k, k + 120, k + 1], 1), np.stack([k + 1, k + 120, k + 121], 1)])
    ramp = TriangleMesh(np.concatenate([inner, outer]), faces)
    uv, charts = unwrap_box(ramp, 512, 2)
    assert charts >= 3 and overlap_texels(uv, 512) == 0


def test_texels_show_the_field_and_none_is_left_empty():
    mesh = torus(0.55, 0.22, 96, 48)
    shade = normal_march(analytic.solid(analytic.torus(), scale=400.0), outward=0.02, inward=0.05)
    painted, figures = bake_texture(mesh, shade, 128)
    assert figures["utilisation"] == pytest.approx(1.0)
    points = torch.from_numpy(mesh.vertices).float()
    shown = shade(points, torch.from_numpy(mesh.normals).float())
    assert (shown - analytic.checker(points)).abs().max() < 0.1
    small = TriangleMesh(mesh.vertices, mesh.faces, mesh.vertex_normals, uv=0.3 + 0.2 * mesh.uv)
    painted, figures = bake_texture(small, shade, 128)
    assert figures["utilisation"] == pytest.approx(0.04, rel=0.2) and painted.texture.min() > 0


def test_a_texel_before_nothing_takes_the_color_at_its_point():
    access = FieldAccess(logit=lambda p: p[:, 0] * 0 - 20.0, color=analytic.checker)
    shade = normal_march(access, outward=0.02, inward=0.05)
    points, normals = torch.rand(50, 3), torch.eye(3)[torch.arange(50) % 3]
    assert torch.allclose(shade(points, normals), analytic.checker(points), atol=1e-6)
