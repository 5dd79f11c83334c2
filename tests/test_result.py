"""What a result writes and shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import trimesh

from nerf2mesh import Camera, Config, TriangleMesh, View
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.run.result import Result


def _result(real_size_m: float = 0.0, **other: object) -> Result:
    box = trimesh.creation.box((0.5, 1.0, 0.25))
    config = Config(mesh=MeshConfig(real_size_m=real_size_m))
    return Result(TriangleMesh(box.vertices, box.faces), None, other.get("renderer"), None, config)


def test_one_file(tmp_path: Path) -> None:
    assert _result().save(tmp_path / "cup.glb") == [tmp_path / "cup.glb"]
    assert (tmp_path / "cup.glb").is_file()


@pytest.mark.parametrize("formats", ["stl", ".stl", ("stl",), ["stl"]])
def test_formats_as_a_word_or_a_list(formats: object, tmp_path: Path) -> None:
    assert _result().save(tmp_path / "cup", formats=formats) == [tmp_path / "cup" / "mesh.stl"]


def test_a_file_and_formats_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^formats: expected none beside the file cup\.glb"):
        _result().save(tmp_path / "cup.glb", formats="stl")


@pytest.mark.parametrize(("ending", "longest"), [("stl", 120.0), ("glb", 0.12), ("ply", 0.12)])
def test_stl_counts_millimetres(ending: str, longest: float, tmp_path: Path) -> None:
    (path,) = _result(0.12).save(tmp_path / f"cup.{ending}")
    assert trimesh.load(path, force="mesh").extents.max() == pytest.approx(longest, rel=1e-5)


def test_without_a_size_stl_keeps_world_units(tmp_path: Path) -> None:
    (path,) = _result().save(tmp_path / "cup.stl")
    assert trimesh.load(path).extents.max() == pytest.approx(1.0, rel=1e-5)


def test_render_asks_for_normals() -> None:
    asked = {}
    renderer = SimpleNamespace(render=lambda camera, **settings: asked.update(settings))
    _result(renderer=renderer).render(Camera.orbit(0.0, 0.0, width_px=8))
    assert asked == {"normals": "analytic"}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.full((8, 8, 4), 200.0), "expected values in"),
        (torch.full((8, 8, 4), float("nan")), "expected values in"),
    ],
)
def test_view_checks_its_image(image: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^View\.image: {said}"):
        View(image, Camera.orbit(0.0, 0.0, width_px=8))
