"""The protocol's frames and cameras, what the baselines make of them, and what the scores say of known results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.evaluate.metrics.images import mask_iou
from nerf2mesh.evaluate.protocols.baselines import (
    BLIND_BASELINES,
    ORACLE_BASELINES,
    background,
    copied_input,
    extruded_silhouette,
    sphere,
)
from nerf2mesh.evaluate.protocols.canonical import canonical_frame, input_camera, make_case, ring_cameras
from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY
from nerf2mesh.evaluate.protocols.core import NAMES, core, prompt, scene, seed_and_family
from nerf2mesh.evaluate.protocols.exact_cases import ExactTruth
from nerf2mesh.evaluate.protocols.names import PROCEDURAL
from nerf2mesh.evaluate.protocols.scoring import (
    PSNR_OF_EQUALS,
    Case,
    Prediction,
    Settings,
    render_views,
    score,
    score_geometry,
)
from nerf2mesh.types import Rendering
from tests.evaluate.shapes import animal

QUICK = Settings(supersample=2, iou_resolution=48, surface_samples=2_000)


@pytest.fixture(scope="module")
def creature() -> Case:
    return make_case("creature", animal(), size_px=96, settings=QUICK)


@pytest.fixture(scope="module")
def ball() -> Case:
    from tests.evaluate.shapes import sphere as analytic

    mesh = analytic(0.6, 4)
    from nerf2mesh.mesh import TriangleMesh

    colors = np.tile([0.2, 0.5, 0.8], (len(mesh.vertices), 1))
    return make_case("ball", TriangleMesh(mesh.vertices, mesh.faces, vertex_colors=colors), size_px=96, settings=QUICK)


def test_camera_and_views(creature: Case) -> None:
    assert float(creature.camera.elevation_deg) == pytest.approx(20) and float(
        creature.camera.azimuth_deg
    ) == pytest.approx(0)
    assert creature.novel_cameras.batch_shape == (16,)
    assert torch.allclose(creature.novel_cameras.elevation_deg[:4], torch.tensor([0.0, 30, 0, 30]), atol=1e-4)
    assert torch.allclose(creature.novel_cameras.azimuth_deg[[1, 4]], torch.tensor([22.5, 90.0]), atol=1e-4)
    for alpha in (creature.image[None, ..., 3], creature.truth.opacity):  # nothing is cut off at a border
        assert alpha[:, [0, -1]].max() == 0 and alpha[:, :, [0, -1]].max() == 0
    assert torch.equal(creature.image, (creature.image * 255).round() / 255)


def test_truth_scores_perfectly(creature: Case) -> None:
    scores = score(creature, creature.mesh)
    assert scores["volume_iou"] == scores["mask_iou"] == scores["f_score_0.02"] == 1.0
    assert scores["chamfer"] < 1e-12 and scores["psnr"] == PSNR_OF_EQUALS
    assert set(scores) <= set(METRIC_BY_KEY)


def test_every_baseline_is_scored(creature: Case) -> None:
    scores = {b.__name__: score(creature, b(creature)) for b in BLIND_BASELINES + ORACLE_BASELINES}
    assert scores["background"]["volume_iou"] == scores["background"]["mask_iou"] == 0.0
    assert scores["background"]["chamfer"] == 1.0
    assert "volume_iou" not in scores["copied_input"]
    assert scores["true_silhouette"]["mask_iou"] == scores["true_mesh"]["volume_iou"] == 1.0
    assert scores["shifted_view"]["psnr"] > scores["turned_view"]["psnr"] > scores["copied_input"]["psnr"]
    assert 0.2 < scores["extruded_silhouette"]["volume_iou"] < 0.6


def test_sphere_baseline_of_a_sphere_is_that_sphere(ball: Case) -> None:
    mesh = sphere(ball).mesh
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(0.6, abs=0.01)
    assert score(ball, mesh)["volume_iou"] > 0.97
    assert mesh.vertex_colors.mean(axis=0) == pytest.approx([0.2, 0.5, 0.8], abs=0.005)


def test_extrusion_keeps_the_silhouette_and_its_width(ball: Case, creature: Case) -> None:
    for case in (ball, creature):
        mesh = extruded_silhouette(case).mesh
        assert mesh.is_watertight and mesh.volume > 0
        seen = render_views(mesh, case.camera, QUICK)
        assert float(mask_iou(seen.opacity, case.image[..., 3])) > 0.99
    # Depth of the solid along the viewing axis = width of the silhouette at the origin = 2 r / cos(asin(r / d)).
    mesh = extruded_silhouette(ball).mesh
    depth = mesh.vertices @ ball.camera.camera_to_world[:3, 2].double().numpy()
    assert np.ptp(depth) == pytest.approx(1.2 / np.cos(np.arcsin(0.6 / 3.2)), rel=0.03)


def test_copying_shows_the_input_everywhere(creature: Case) -> None:
    views = copied_input(creature).render(creature.novel_cameras)
    assert views.rgb.shape == (16, 96, 96, 3)
    assert torch.equal(views.opacity[5], creature.image[..., 3])


def test_field_is_scored_beside_the_mesh(creature: Case) -> None:
    def gray(cameras: object) -> Rendering:
        return Rendering(creature.truth.rgb * 0.5, creature.truth.opacity, creature.truth.depth)

    scores = score(creature, Prediction(mesh=creature.mesh, render=gray))
    assert scores["psnr"] == PSNR_OF_EQUALS and 5 < scores["field_psnr"] < 40


def test_results_do_not_depend_on_the_order_or_the_seed_of_others(creature: Case) -> None:
    mesh = extruded_silhouette(creature).mesh
    first = score_geometry(creature, mesh)
    assert score_geometry(creature, mesh) == first
    other = score_geometry(replace(creature, settings=replace(QUICK, seed=1)), mesh)
    assert other["chamfer"] == pytest.approx(first["chamfer"], rel=0.1)


def test_wrong_names_and_folders(tmp_path: object) -> None:
    with pytest.raises(ValueError, match="spot, bob, avocado, proc-00"):
        core(["cow"])
    with pytest.raises(ValueError, match=r"data_dir: expected a folder with spot/spot\.obj.*nerf2mesh-bench fetch"):
        core(["spot"], data_dir=tmp_path)
    with pytest.raises(ValueError, match="got none"):
        core(["proc-00", "bob"])


def test_the_canonical_frame_leaves_its_argument_alone() -> None:
    mesh = background(None).mesh
    moved = replace(mesh, vertices=np.array([[0.0, 0, 0], [0, 0, 4]]))
    assert canonical_frame(moved).vertices[:, 2].tolist() == pytest.approx([-0.9, 0.9])
    assert moved.vertices[1, 2] == 4


def test_procedural_meshes_lie_on_the_signed_distance() -> None:
    """Marching cubes' short cut against the distance at every sample, and the frame of what comes out."""
    from nerf2mesh.evaluate.protocols.procedural_objects import FIRST_SEED, distances, procedural_mesh
    from nerf2mesh.procedural.grammar import sample_scenes

    scenes = sample_scenes([FIRST_SEED + 3])
    axis = torch.linspace(-1.25, 1.25, 40)
    quick = distances(scenes, axis)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    truth = scenes.distance(grid.reshape(1, -1, 3))[0].reshape(quick.shape)
    assert torch.equal(quick > 0, truth > 0)
    near = truth.abs() < float(axis[1] - axis[0])
    assert torch.allclose(quick[near], truth[near], atol=1e-5)
    mesh = procedural_mesh(FIRST_SEED + 3, resolution=64)
    assert mesh.is_watertight and mesh.volume > 0
    assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(0.9)


def test_core_has_every_family_and_no_two_prompts_alike() -> None:
    from nerf2mesh.procedural.families import FAMILIES, HELD_OUT_FAMILIES

    assert len(NAMES) == 23 and NAMES[3:] == PROCEDURAL and PROCEDURAL[0] == "proc-00"
    seeds, families = zip(*map(seed_and_family, PROCEDURAL))
    assert set(families) == set(FAMILIES) | set(HELD_OUT_FAMILIES) and len(set(seeds)) == 20
    assert len({prompt(name) for name in PROCEDURAL}) == 20 and "lamp" in prompt("proc-14")


def test_procedural_truth_is_the_signed_distance() -> None:
    """proc-12: what is traced and counted on the distance agrees with its marching-cubes mesh, rasterized."""
    truth = ExactTruth(novel=ring_cameras(64)[:2], settings=QUICK, lit=False, input_px=64)
    case = truth.case("proc-12", scene("proc-12"))
    scores = score(case, case.mesh)
    assert scores["volume_iou"] > 0.97 and scores["mask_iou"] > 0.97 and scores["psnr"] > 28
    assert scores["chamfer"] < 1e-12 and scores["depth_error"] < 0.01
    assert torch.equal(case.camera.camera_to_world, input_camera(64).camera_to_world)
    seen = render_views(case.mesh, case.camera, QUICK)
    assert float(mask_iou(seen.opacity, case.image[..., 3])) > 0.94, "a pixel is a twentieth of it"
    assert np.linalg.norm(case.mesh.vertices, axis=1).max() == pytest.approx(0.9, abs=1e-3)
