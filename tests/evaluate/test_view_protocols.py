"""Published view protocols and data set readers: cameras by their numbers, SyncDreamer's layout through its case."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.evaluate.metrics.align import box_frame
from nerf2mesh.evaluate.metrics.images import mask_iou
from nerf2mesh.evaluate.protocols.conventions import syncdreamer_cameras
from nerf2mesh.evaluate.protocols.datasets import (
    google_scanned_objects,
    objaverse,
    omniobject3d,
    realfusion15,
)
from nerf2mesh.evaluate.protocols.scoring import Prediction, Settings, picture, render_views, score
from nerf2mesh.evaluate.protocols.t3bench import t3bench_cameras
from nerf2mesh.evaluate.protocols.view_protocols import cases, magic123_cases, syncdreamer_cases, view_protocols
from nerf2mesh.evaluate.tables.pictures import write_png
from nerf2mesh.evaluate.tables.results import run_case
from nerf2mesh.mesh.shapes import box, torus
from nerf2mesh.types import Rendering
from tests.evaluate.shapes import animal

QUICK = Settings(supersample=1, iou_resolution=32, surface_samples=500)


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    """A creature drawn at half size from SyncDreamer's cameras, laid out as its evaluation has it."""
    (tmp_path / "animal").mkdir()
    center, scale = box_frame(torch.from_numpy(animal().vertices), 1.0)
    mesh = replace(animal(), vertices=(animal().vertices - center.numpy()) * scale)
    for k, image in enumerate(picture(render_views(mesh, syncdreamer_cameras(), QUICK))):
        write_png(tmp_path / "animal" / f"{k:03d}.png", image)
    return tmp_path


def test_syncdreamer_case_is_scored_as_scikit_image_does(renders: Path) -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    (case,) = syncdreamer_cases(renders, {"animal": animal()})
    truth = case.truth.over(1.0)
    shown = (truth * 0.9 + 0.02).roll(3, dims=2)
    views = Rendering(shown, torch.ones(16, 256, 256), torch.zeros(16, 256, 256))
    scores = score(case, Prediction(render=lambda cameras: views))
    pairs = [(t.double().numpy(), s.double().numpy()) for t, s in zip(truth, shown)]
    expected = np.mean([peak_signal_noise_ratio(t, s, data_range=1.0) for t, s in pairs])
    assert scores["psnr"] == pytest.approx(expected, rel=1e-5)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    few = [structural_similarity(t, s, data_range=1.0, channel_axis=-1, **window) for t, s in pairs]
    assert scores["ssim"] == pytest.approx(np.mean(few), rel=1e-5)
    # The mesh in world axes fills the silhouettes of its pictures: frames, cameras and rasterizer agree.
    seen = render_views(case.mesh, case.novel_cameras, QUICK)
    assert mask_iou(seen.opacity, case.truth.opacity).min() > 0.98
    assert case.settings.convention == "syncdreamer-gso"


def test_syncdreamer_renders_must_be_complete(renders: Path) -> None:
    (renders / "animal" / "007.png").unlink()
    with pytest.raises(ValueError, match=r"got 15; the first that is missing is .*007\.png"):
        syncdreamer_cases(renders, {"animal": box()})


def test_every_protocol_makes_cases_and_scores() -> None:
    for name, protocol in view_protocols().items():
        assert protocol.name == name and protocol.source
        small = protocol.novel[:2].resized(64, 64)
        inputs = protocol.inputs.resized(64, 64)
        few = protocol.__class__(**{**protocol.__dict__, "novel": small, "inputs": inputs, "convention": "nerf2mesh"})
        (case,) = cases(few, [("ring", torus(0.3, 0.12, 24, 12))], QUICK)
        assert np.ptp(case.mesh.vertices, axis=0).max() == pytest.approx(protocol.side, rel=1e-6)
        assert case.image[..., 3].max() == 1 and case.truth.opacity[:, [0, -1]].max() == 0
        assert score(case, case.mesh)["mask_iou"] == 1.0


def test_structured_views_of_lrm() -> None:
    eight, four = view_protocols()["lrm-8view"].inputs, view_protocols()["lrm-4view"].inputs
    assert eight.elevation_deg.tolist() == pytest.approx([0] * 4 + [40] * 4, abs=1e-4)
    assert (eight.azimuth_deg % 360).tolist() == pytest.approx([0, 90, 180, 270, 45, 135, 225, 315], abs=1e-3)
    assert four.elevation_deg.tolist() == pytest.approx([20] * 4, abs=1e-4)


def test_a_method_of_several_views_is_given_them_all() -> None:
    protocol = view_protocols()["lrm-4view"]
    small = protocol.__class__(**{**protocol.__dict__, "novel": protocol.novel[:1].resized(32, 32)})
    (case,) = cases(small, [("box", box())], QUICK)
    record = run_case("mine", lambda views: Prediction(mesh=box() if len(views) == 4 else None), case)
    assert not record.failed


def test_t3bench_views() -> None:
    cameras = t3bench_cameras()
    assert cameras.batch_shape == (162, 5) and cameras.width_px == 512
    assert torch.allclose(cameras.position.norm(dim=-1), torch.full((162, 5), 2.2), atol=1e-5)
    assert float(cameras.focal_px[0, 4, 1]) == pytest.approx(256 / math.tan(math.radians(12)), rel=1e-5)


def test_magic123_compares_the_reference_view_only() -> None:
    image = torch.zeros(64, 64, 4)
    image[16:48, 16:48] = torch.tensor([0.2, 0.4, 0.6, 1.0])
    (case,) = magic123_cases({"square": image}, QUICK)
    assert case.truth.rgb.shape == (1, 800, 800, 3) and case.mesh is None
    assert float(case.camera.position.norm()) == pytest.approx(1.8)
    scores = score(case, box())
    assert 5 < scores["psnr"] < 40 and "chamfer" not in scores


def test_readers_find_what_is_there(tmp_path: Path) -> None:
    gso = tmp_path / "gso" / "Chicken"
    (gso / "meshes").mkdir(parents=True)
    (gso / "materials" / "textures").mkdir(parents=True)
    uv = "vt 0 0\nvt 1 0\nvt 0 1\n"
    (gso / "meshes" / "model.obj").write_text(
        "mtllib model.mtl\n" + uv + "v 0 0 0\nv 1 0 0\nv 0 0 2\nusemtl m\nf 1/1 2/2 3/3\n"
    )
    (gso / "meshes" / "model.mtl").write_text("newmtl m\nmap_Kd texture.png\n")
    with pytest.raises(ValueError, match=r"expected 1 files.*got 0.*texture\.png"):
        google_scanned_objects(tmp_path / "gso")
    Image.new("RGB", (4, 4), (255, 0, 0)).save(gso / "materials" / "textures" / "texture.png")
    (item,) = google_scanned_objects(tmp_path / "gso", ["Chicken"])
    mesh = item.load()
    assert mesh.texture is not None and mesh.texture[0, 0].tolist()[:3] == [255, 0, 0]
    assert mesh.bounds[1].tolist() == pytest.approx([0, 1, 2])  # +Z stays up, -Y turns to +X
    assert [p.name for p in gso.parent.iterdir()] == ["Chicken"]
    (tmp_path / "omni" / "cup" / "cup_001" / "Scan").mkdir(parents=True)
    (tmp_path / "omni" / "cup" / "cup_001" / "Scan" / "Scan.obj").write_text("v 0 0 0\n")
    assert [i.name for i in omniobject3d(tmp_path / "omni")] == ["cup_001"]
    (tmp_path / "obja" / "000").mkdir(parents=True)
    (tmp_path / "obja" / "000" / "abc.glb").write_bytes(b"")
    assert [i.name for i in objaverse(tmp_path / "obja")] == ["abc"]


def test_readers_name_what_is_missing(tmp_path: Path) -> None:
    for reader in (google_scanned_objects, omniobject3d, objaverse, realfusion15):
        with pytest.raises(ValueError, match="data_dir: expected a folder with"):
            reader(tmp_path / "nowhere")
        with pytest.raises(ValueError, match=r"expected .* under|missing"):
            reader(tmp_path)
    (tmp_path / "a").mkdir()
    Image.new("RGBA", (8, 8)).save(tmp_path / "a" / "rgba.png")
    with pytest.raises(ValueError, match=r"objects: expected .* of b under"):
        realfusion15(tmp_path, ["a", "b"])
    (tmp_path / "a" / "rgba.png").write_bytes(b"half a picture")
    with pytest.raises(ValueError, match="copy the data again"):
        realfusion15(tmp_path)
