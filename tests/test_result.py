"""What a result writes and shows."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import torch
import trimesh

from nerf2mesh import Camera, Config, Observations, TriangleMesh, View
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.run.result import Result


def _result(real_size_m: float = 0.0, **other: object) -> Result:
    box = trimesh.creation.box((0.5, 1.0, 0.25))
    config = Config(mesh=MeshConfig(real_size_m=real_size_m))
    return Result(TriangleMesh(box.vertices, box.faces), None, other.get("renderer"), Observations(), config)


def test_one_file(tmp_path: Path) -> None:
    assert _result().save(tmp_path / "cup.glb") == [tmp_path / "cup.glb"]
    assert (tmp_path / "cup.glb").is_file()


@pytest.mark.parametrize("formats", ["stl", ".stl", ("stl",), ["stl"]])
def test_formats_as_a_word_or_a_list(formats: object, tmp_path: Path) -> None:
    assert _result().save(tmp_path / "cup", formats=formats) == [tmp_path / "cup" / "mesh.stl"]


def test_a_file_and_formats_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^formats: expected none beside the file cup\.glb"):
        _result().save(tmp_path / "cup.glb", formats="stl")


@pytest.mark.parametrize(("ending", "longest"), [("stl", 120.0), ("3mf", 120.0), ("glb", 0.12), ("ply", 0.12)])
def test_printers_formats_count_millimetres(ending: str, longest: float, tmp_path: Path) -> None:
    (path,) = _result(0.12).save(tmp_path / f"cup.{ending}")
    assert trimesh.load(path, force="mesh").extents.max() == pytest.approx(longest, rel=1e-5)


def test_without_a_size_stl_keeps_world_units(tmp_path: Path) -> None:
    (path,) = _result().save(tmp_path / "cup.stl")
    assert trimesh.load(path).extents.max() == pytest.approx(1.0, rel=1e-5)


def test_3mf_is_read_back(tmp_path: Path) -> None:
    """By trimesh, and by its parts: one model in millimetres with the box's eight corners and twelve triangles."""
    (path,) = _result(0.12).save(tmp_path / "cup.3mf")
    again = trimesh.load(path, force="mesh")
    assert again.is_watertight and again.volume == pytest.approx(120.0 * 60.0 * 30.0, rel=1e-5)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and {"[Content_Types].xml", "_rels/.rels"} <= set(archive.namelist())
        model = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
    tags = [node.tag.rpartition("}")[2] for node in model.iter()]
    assert model.get("unit") == "millimeter" and (tags.count("vertex"), tags.count("triangle")) == (8, 12)


def test_a_writer_that_fails_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerf2mesh.mesh.export.files.write_usdz", lambda *_: 1 / 0)
    monkeypatch.setattr("nerf2mesh.mesh.export.blender.blender_command", lambda: None)
    with pytest.raises(
        ValueError, match=r"^formats: .* errors for 2 \(mesh\.usdz: division by zero; mesh\.fbx: .*Blender"
    ):
        _result().save(tmp_path, ("usdz", "fbx", "stl"))
    assert [path.name for path in tmp_path.iterdir()] == ["mesh.stl"]


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
