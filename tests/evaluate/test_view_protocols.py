"""Published view protocols and data set readers: cameras by their numbers, SyncDreamer's digits through its case."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.evaluate.metrics.images import mask_iou
from nerf2mesh.evaluate.protocols.datasets import (
    google_scanned_objects,
    nerf_synthetic,
    objaverse,
    omniobject3d,
    read_rgba,
    realfusion15,
)
from nerf2mesh.evaluate.protocols.scoring import Prediction, Settings, render_views, score
from nerf2mesh.evaluate.protocols.t3bench import t3bench_cameras
from nerf2mesh.evaluate.protocols.view_protocols import cases, magic123_cases, syncdreamer_cases, view_protocols
from nerf2mesh.evaluate.tables.results import run_case
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import box, torus
from nerf2mesh.types import Camera, Rendering
from tests.evaluate.shapes import CHICKEN, chicken_views

QUICK = Settings(supersample=1, iou_resolution=32, surface_samples=500)


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    """The fixture laid out as SyncDreamer's evaluation has it."""
    (tmp_path / "chicken").mkdir()
    for k in range(16):
        shutil.copy(CHICKEN / f"gt_{k:02d}.png", tmp_path / "chicken" / f"{k:03d}.png")
    return tmp_path


def test_syncdreamer_case_gives_its_digits(renders: Path) -> None:
    mesh = TriangleMesh.from_file(CHICKEN / "model.obj", up="z", front="-y")
    (case,) = syncdreamer_cases(renders, {"chicken": mesh})
    predicted = chicken_views("pred")
    shown = Rendering(predicted, torch.ones(16, 256, 256), torch.zeros(16, 256, 256))
    scores = score(case, Prediction(render=lambda cameras: shown))
    assert f"{scores['psnr']:.4f}" == "25.4133" and f"{scores['ssim']:.5f}" == "0.88553"
    # The mesh in house axes fills the published silhouettes: frames, cameras and rasterizer agree.
    seen = render_views(case.mesh, case.novel_cameras, QUICK)
    assert mask_iou(seen.opacity, case.truth.opacity).min() > 0.98
    assert case.settings.convention == "syncdreamer-gso"


def test_syncdreamer_renders_must_be_complete(renders: Path) -> None:
    (renders / "chicken" / "007.png").unlink()
    with pytest.raises(ValueError, match=r"1 missing, first .*007\.png"):
        syncdreamer_cases(renders, {"chicken": box()})


def test_every_protocol_makes_cases_and_scores() -> None:
    for name, protocol in view_protocols().items():
        assert protocol.name == name and protocol.source
        small = protocol.novel[:2].resized(64, 64)
        inputs = protocol.inputs.resized(64, 64)
        few = protocol.__class__(**{**protocol.__dict__, "novel": small, "inputs": inputs, "convention": "house"})
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
    with pytest.raises(ValueError, match=r"1 of 1 files are missing.*texture\.png"):
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
    for reader in (google_scanned_objects, omniobject3d, objaverse, realfusion15, nerf_synthetic):
        with pytest.raises(ValueError, match="folder with the data set"):
            reader(tmp_path / "nowhere")
        with pytest.raises(ValueError, match=r"wanted under|missing"):
            reader(tmp_path)
    (tmp_path / "a").mkdir()
    Image.new("RGBA", (8, 8)).save(tmp_path / "a" / "rgba.png")
    with pytest.raises(ValueError, match="objects b wanted"):
        realfusion15(tmp_path, ["a", "b"])
    (tmp_path / "a" / "rgba.png").write_bytes(b"half a picture")
    with pytest.raises(ValueError, match="copy the data again"):
        realfusion15(tmp_path)


def test_nerf_synthetic_cameras(tmp_path: Path) -> None:
    camera = Camera.orbit(30.0, 20.0, distance=4.0, fov_deg=40.0, width_px=20)
    frame = {"file_path": "./train/r_0", "transform_matrix": camera.camera_to_world.tolist()}
    data = {"camera_angle_x": math.radians(40.0), "frames": [frame]}
    (tmp_path / "transforms_train.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"r_0\.png"):
        nerf_synthetic(tmp_path)
    (tmp_path / "train").mkdir()
    Image.new("RGBA", (20, 20), (10, 20, 30, 255)).save(tmp_path / "train" / "r_0.png")
    (view,) = nerf_synthetic(tmp_path, scale=0.5)
    assert float(view.camera.position.norm()) == pytest.approx(2.0)
    assert torch.allclose(view.camera.focal_px, camera.focal_px, rtol=1e-5)
    assert torch.equal(view.image, read_rgba(tmp_path / "train" / "r_0.png"))
    (tmp_path / "transforms_train.json").write_text('{"frames": [')
    with pytest.raises(ValueError, match="camera_angle_x"):
        nerf_synthetic(tmp_path)
