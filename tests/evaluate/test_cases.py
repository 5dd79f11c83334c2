"""The cases of a protocol: their names, and the views that a track gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerf2mesh.evaluate.protocols.cases import load_case, object_names, ring, spiral, with_views
from nerf2mesh.types import Camera
from tests.sweep.small_bench import small_case


def test_tracks_give_the_views_they_promise() -> None:
    case = small_case()
    four = with_views(case, 4)
    assert len(four.views) == 4 and torch.equal(four.views[0].image, case.image)
    turns = torch.stack([view.camera.azimuth_deg for view in four.views]) - case.camera.azimuth_deg
    assert torch.allclose(turns.remainder(360), torch.tensor([0.0, 90.0, 180.0, 270.0]), atol=1e-3)
    cameras = spiral(Camera.orbit(10.0, 20.0, width_px=32), 60)
    assert cameras.batch_shape == (60,) and float(cameras.elevation_deg[1:].min()) > -30.5
    assert float(cameras.elevation_deg.max()) < 60.5
    assert torch.allclose(cameras.position.norm(dim=-1), torch.tensor(3.2), atol=1e-4)
    gaps = torch.cdist(cameras.position, cameras.position).fill_diagonal_(9.0).min(dim=-1).values
    assert float(gaps[1:].min()) > 0.4, "nowhere two in one place"
    assert torch.allclose(ring(case.camera, 4).elevation_deg, case.camera.elevation_deg.expand(4), atol=1e-4)


def test_names_of_objects_and_what_is_missing(tmp_path: Path) -> None:
    assert object_names("core")[2:4] == ["avocado", "proc-00"] and len(object_names("core")) == 23
    assert object_names("core", ["proc-03"], track="text") == ["proc-03"]
    with pytest.raises(ValueError, match="expected names out of proc-00"):
        object_names("core", ["spot"], track="text")
    for protocol, track in (("t3bench", "image"), ("triposr", "text")):
        with pytest.raises(ValueError, match="expected text with t3bench"):
            object_names(protocol, track=track, data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="data_dir: expected a folder with"):
        object_names("triposr", data_dir=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"expected .* NAME/meshes/model\.obj"):
        object_names("syncdreamer-gso", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="data_dir"):
        load_case("instantmesh", "image", "x")
