"""Published metrics recomputed by other people's code, to 1e-5: scikit-image, trimesh, SciPy.

The sample points are the library's (`Surface.sample`, seeded); frames, distances, containment and means are not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from nerf2mesh.evaluate.metrics.geometry import surface_distances
from nerf2mesh.evaluate.metrics.surface import Surface
from nerf2mesh.evaluate.protocols.canonical import make_case
from nerf2mesh.evaluate.protocols.conventions import convention, measure
from nerf2mesh.evaluate.protocols.scoring import Prediction, Settings, render_views, score
from nerf2mesh.mesh import TriangleMesh
from tests.evaluate.shapes import animal

SAMPLES = 500


def result() -> TriangleMesh:
    """The animal, wrong in size, place and shape."""
    vertices = animal().vertices * np.array([0.9, 1.1, 1.0]) + np.array([0.02, 0.0, -0.03])
    return replace(animal(), vertices=vertices)


def as_trimesh(mesh: TriangleMesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def samples(mesh: TriangleMesh, seed: int) -> np.ndarray:
    return Surface.of(mesh).sample(SAMPLES, seed=seed)[0].numpy()


@pytest.mark.parametrize(("name", "own"), [("zero123-gso", False), ("instantmesh", False), ("one-2-3-45", True)])
def test_chamfer_and_f_score_of_papers_by_scipy(name: str, own: bool) -> None:
    """Unaligned, so that no search is compared with itself; the frames by trimesh's bounds."""
    kind = replace(convention(name), samples=SAMPLES, alignment="none", iou_resolution=None)
    meshes, found = (result(), animal()), measure(kind, result(), animal())
    clouds = []
    for k, mesh in enumerate(meshes):
        bounds = as_trimesh(mesh if own else meshes[1]).bounds
        clouds.append((samples(mesh, k) - bounds.mean(axis=0)) * (kind.side / np.ptp(bounds, axis=0).max()))
    there, back = cKDTree(clouds[1]).query(clouds[0])[0], cKDTree(clouds[0]).query(clouds[1])[0]
    both = there.mean() + back.mean()
    assert found["chamfer"] == pytest.approx(both if kind.reduce == "sum" else both / 2, abs=1e-5)
    for threshold in kind.thresholds:
        precision, recall = (there < threshold).mean(), (back < threshold).mean()
        wanted = 2 * precision * recall / (precision + recall)
        assert found[f"f_score_{threshold:g}"] == pytest.approx(wanted, abs=1e-5)


def test_our_chamfer_distance_by_trimesh() -> None:
    """Point to triangle, both ways."""
    found = surface_distances(result(), animal(), samples=SAMPLES)
    pairs = ((samples(result(), 0), animal()), (samples(animal(), 1), result()))
    means = [trimesh.proximity.closest_point(as_trimesh(mesh), points)[1].mean() for points, mesh in pairs]
    assert found.chamfer() == pytest.approx(0.5 * sum(means), abs=1e-5)


def test_pictures_by_scikit_image() -> None:
    """PSNR and SSIM of a result's views, as a table has them: means over views, white background."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    case = make_case("animal", animal(), size_px=48, settings=Settings(supersample=1, iou_resolution=16))
    case = replace(case, mesh=None)
    views = render_views(result(), case.novel_cameras, case.settings)
    found = score(case, Prediction(render=lambda _: views))
    pairs = [(a.numpy(), b.numpy()) for a, b in zip(views.over(1.0).clamp(0, 1), case.truth.over(1.0))]
    psnr = [peak_signal_noise_ratio(b, a, data_range=1.0) for a, b in pairs]
    how = {"channel_axis": -1, "data_range": 1.0, "gaussian_weights": True, "sigma": 1.5}
    ssim = [structural_similarity(a, b, use_sample_covariance=False, **how) for a, b in pairs]
    assert found["psnr"] == pytest.approx(np.mean(psnr), abs=1e-5)
    assert found["ssim"] == pytest.approx(np.mean(ssim), abs=1e-5)
    overlap = [
        ((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum() for a, b in zip(views.opacity, case.truth.opacity)
    ]
    assert found["mask_iou"] == pytest.approx(float(torch.stack(overlap).mean()), abs=1e-5)
