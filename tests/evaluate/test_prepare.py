"""Data sets on a made-up folder of the same layout: listed once, resumed, verified, broken objects named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from nerf2mesh.evaluate.protocols import prepare as module
from nerf2mesh.evaluate.protocols.prepare import prepare, read_list, verify
from nerf2mesh.mesh import save_mesh
from nerf2mesh.sweep.commands import COMMANDS
from tests.evaluate.shapes import animal

TRIANGLE = "vt 0 0\nvt 1 0\nvt 0 1\nv 0 0 0\nv 1 0 0\nv 0 0 2\nf 1/1 2/2 3/3\n"


def gso(root: Path, *names: str) -> Path:
    for name in names:
        meshes, textures = root / name / "meshes", root / name / "materials" / "textures"
        meshes.mkdir(parents=True)
        textures.mkdir(parents=True)
        (meshes / "model.obj").write_text("mtllib model.mtl\nusemtl m\n" + TRIANGLE)
        (meshes / "model.mtl").write_text("newmtl m\nmap_Kd texture.png\n")
        Image.new("RGB", (4, 4), (255, 0, 0)).save(textures / "texture.png")
    return root


def omni(root: Path) -> Path:
    scan = root / "cup" / "cup_001" / "Scan"
    scan.mkdir(parents=True)
    (scan / "Scan.obj").write_text(TRIANGLE)
    Image.new("RGB", (4, 4)).save(scan / "Scan.jpg")
    return root


def objaverse(root: Path) -> Path:
    (root / "000-001").mkdir(parents=True)
    save_mesh(animal(), root / "000-001" / "abc.glb")
    return root


@pytest.mark.parametrize(("dataset", "make"), [("gso", gso), ("omniobject3d", omni), ("objaverse", objaverse)])
def test_every_layout_is_listed_with_the_checksums_of_its_files(dataset: str, make, tmp_path: Path) -> None:
    root = make(tmp_path / "set", "Chicken") if make is gso else make(tmp_path / "set")
    (entry,) = prepare(dataset, root, tmp_path / "list.jsonl")
    wanted = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {name: digest for name, (_, _, digest) in entry.files.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in wanted.items()
    }
    assert entry.faces == (animal().n_faces if make is objaverse else 1) and not entry.wrong
    assert verify(root, tmp_path / "list.jsonl") == []


def test_a_stopped_list_goes_on_and_reads_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, listing, read = gso(tmp_path / "set", "a", "b", "c"), tmp_path / "list.jsonl", []
    whole = module.listed

    def counted(folder: Path, item: module.MeshItem) -> module.Listed:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(item.name)
        return whole(folder, item)

    monkeypatch.setattr(module, "listed", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare("gso", root, listing)
    with listing.open("a") as stream:
        stream.write('{"name": "c", "fi')  # a write that was cut off
    assert list(read_list(listing)) == ["a", "b"]
    read.clear()
    assert [entry.name for entry in prepare("gso", root, listing)] == ["a", "b", "c"] and read == ["c"]
    read.clear()
    prepare("gso", root, listing)
    assert read == []
    (root / "b" / "meshes" / "model.obj").write_text(TRIANGLE)
    prepare("gso", root, listing)
    assert read == ["b"], "what has changed is read again"
    assert len(listing.read_text().splitlines()) == 3


def test_changed_missing_and_broken_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root, listing = gso(tmp_path / "set", "a", "b"), tmp_path / "set.jsonl"
    (root / "b" / "meshes" / "model.obj").write_text("v 0 0 0\n")
    with pytest.raises(SystemExit) as ended:
        COMMANDS["prepare"](["gso", str(root)])
    said = capsys.readouterr().out
    assert ended.value.code == 1 and "2 objects, 1 faces" in said and "b: " in said
    assert json.loads(listing.read_text().splitlines()[1])["wrong"]
    texture = root / "a" / "materials" / "textures" / "texture.png"
    data = texture.read_bytes()
    texture.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (root / "b" / "meshes" / "model.mtl").unlink()
    wrong = verify(root, listing)
    assert wrong == [
        "a/materials/textures/texture.png: other bytes than when it was listed", "b/meshes/model.mtl: missing",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"list: expected objects listed in .*, got none; give the command without"):
        verify(root, tmp_path / "another.jsonl")
    listing.write_text("not a list\n")
    with pytest.raises(ValueError, match=r"list: expected lines of prepare, got another in line 1"):
        prepare("gso", root, listing)
