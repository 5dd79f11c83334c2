from pathlib import Path

import numpy as np
import pytest

from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.shapes import box, icosphere, torus
from nerf2mesh.objects.config import AugmentConfig, ObjectDataConfig
from nerf2mesh.objects.folder import ObjectFolder, hashed_split, licence_summary
from nerf2mesh.objects.mesh import connected_parts, read_object
from nerf2mesh.objects.train import usable_objects
from tests.objects.files import mixed_folder, pack, two_colored_ball, write_manifest


def test_every_format_gives_the_same_object(tmp_path: Path) -> None:
    """The blue half is on the same side and the size is 1, whatever wrote the file."""
    folder = ObjectFolder(mixed_folder(tmp_path / "m"))
    good, _ = folder.readable(folder.entries)
    assert [entry.path.name for entry in good] == ["a.glb", "b.obj", "c.ply", "d.npz"]
    for entry in good:
        mesh = folder.read(entry)
        radius = np.linalg.norm(mesh.vertices, axis=1)
        np.testing.assert_allclose(radius, 1.0, atol=2e-3)
        side = mesh.vertices[:, 0] > 0.05
        np.testing.assert_allclose(mesh.colors[side], [[1, 0, 0]] * side.sum(), atol=0.01)
        np.testing.assert_allclose(mesh.colors[mesh.vertices[:, 0] < -0.05][0], [0, 0, 1], atol=0.01)
        assert not mesh.uncolored


def test_broken_files_are_named_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = ObjectFolder(mixed_folder(tmp_path / "m"), ObjectDataConfig(heldout_share=0.0))
    train, held_out = usable_objects(folder)
    assert len(train) == 4 and not held_out
    said = capsys.readouterr().out
    assert "torn.glb" in said and "other.npz: expected a packed mesh with v, n, c, f" not in said.split("other.npz")[0]
    assert "4 objects to train on and 0 held out, 2 skipped" in said
    for name in ("a.glb", "below/b.obj", "c.ply", "d.npz"):
        (folder.folder / name).unlink()
    with pytest.raises(ValueError, match=r"data\.meshes: expected objects to train on"):
        usable_objects(ObjectFolder(folder.folder, ObjectDataConfig(heldout_share=0.0)))


def test_manifest_decides_splits_kinds_and_licences(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    pack(tmp_path / "models" / "x.npz", two_colored_ball(2))
    lines = [
        {"file": "x.npz", "split": "train", "kind": "food", "licence": "CC0-1.0", "source": "s", "credit": "A"},
        {"file": "x.npz", "split": "train", "kind": "food", "licence": "CC0-1.0", "source": "s", "credit": "A"},
        {"file": "x.npz", "split": "train", "kind": "animal", "licence": "CC-BY-4.0", "source": "t", "credit": "B"},
        {"file": "x.npz", "split": "heldout", "kind": "food", "uncoloured": True, "near_test": True},
        {"file": "gone.npz", "split": "outside", "kind": "food"},
    ]
    write_manifest(tmp_path, lines)
    folder = ObjectFolder(tmp_path, ObjectDataConfig(licence="own work"))
    assert [len(folder.split(name)) for name in ("train", "heldout", "outside")] == [3, 1, 1]
    assert licence_summary(folder.split("train")) == [
        {"licence": "CC0-1.0", "source": "s", "credit": "A", "files": 2},
        {"licence": "CC-BY-4.0", "source": "t", "credit": "B", "files": 1},
    ]
    assert folder.split("heldout")[0].licence == "own work"
    assert folder.read(folder.split("heldout")[0]).uncolored
    good, broken = folder.readable(folder.split("outside"))
    assert not good and "gone.npz" in next(iter(broken)).name
    assert len(ObjectFolder(tmp_path, ObjectDataConfig(kinds=("food",), near_test=False)).entries) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1 of"),
        ('{"split": "train"}', "expected an object with `file`"),
        ('{"file": "../../secret.npz"}', "expected a file inside "),
        ('{"file": "x.npz", "split": "test"}', "expected a split of train, heldout, outside, got 'test'"),
    ],
)
def test_a_malformed_manifest_is_explained(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=said):
        ObjectFolder(tmp_path)


def test_missing_folders_and_kinds_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.meshes: expected a folder"):
        ObjectFolder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"expected \.obj"):
        ObjectFolder(tmp_path)
    with pytest.raises(ValueError, match=r"data\.augment\.hue_share: expected a number from 0 to 1"):
        ObjectDataConfig(augment=AugmentConfig(hue_share=2.0))


def test_a_hash_holds_out_its_share_and_no_file_moves_another() -> None:
    names = [Path(f"{i}.glb") for i in range(4000)]
    held_out = [hashed_split(name, 0.05) == "heldout" for name in names]
    assert 0.04 < np.mean(held_out) < 0.06
    assert held_out[:100] == [hashed_split(name, 0.05) == "heldout" for name in names[:100]]


def test_texture_is_read_where_it_is_painted(tmp_path: Path) -> None:
    """A large texture is averaged down; its left half stays red."""
    sheet = np.zeros((512, 1024, 3), np.uint8)
    sheet[:, :512], sheet[:, 512:] = (200, 0, 0), (0, 0, 200)
    cube = box()
    uv = np.broadcast_to(np.array([0.25, 0.5], np.float32), (cube.n_faces, 3, 2))
    save_mesh(TriangleMesh(cube.vertices, cube.faces, uv=uv.copy(), texture=sheet), tmp_path / "cube.glb")
    mesh = read_object(tmp_path / "cube.glb")
    assert mesh.texture.shape == (128, 256, 3)
    np.testing.assert_allclose(mesh.texture[64, 64], [200, 0, 0], atol=4)
    small = read_object(tmp_path / "cube.glb", max_faces=10)
    assert len(small.faces) <= 10
    np.testing.assert_allclose(small.colors, np.tile([200 / 255, 0, 0], (len(small.colors), 1)), atol=0.02)


def test_large_meshes_are_simplified_and_keep_their_shape(tmp_path: Path) -> None:
    save_mesh(torus(0.6, 0.25), tmp_path / "ring.ply")
    full, small = (read_object(tmp_path / "ring.ply", max_faces=n) for n in (20_000, 1000))
    assert len(full.faces) == 2 * 96 * 48 and len(small.faces) <= 1000
    volumes = [abs(mesh.triangle_mesh().volume) for mesh in (full, small)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.03)
    assert small.uncolored


def test_parts_are_told_apart_across_split_vertices() -> None:
    ball, cube = icosphere(1, 0.3), box((0.1, 0.1, 0.1))
    split = cube.corners.reshape(-1, 3) + 0.6
    vertices = np.concatenate([ball.vertices - 0.5, split])
    faces = np.concatenate([ball.faces, np.arange(len(split)).reshape(-1, 3) + len(ball.vertices)])
    parts = connected_parts(vertices, faces)
    assert len(set(parts[: len(ball.vertices)])) == 1 and len(set(parts[len(ball.vertices) :])) == 1
    assert parts[0] != parts[-1]


def test_memory_is_bounded(tmp_path: Path) -> None:
    for i in range(4):
        pack(tmp_path / f"{i}.npz", icosphere(4, 1.0))
    folder = ObjectFolder(tmp_path, ObjectDataConfig(cache_mb=0))
    good, _ = folder.readable(folder.entries)
    assert len(good) == 4 and len(folder._kept) == 1
