"""Mesh files of strangers: nothing outside their folder is opened, nothing hangs, damage is one line with the name."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.read_file import MeshArrays, checked
from nerf2mesh.mesh.scene_material import multiplied
from nerf2mesh.objects.mesh import read_object

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
RED = np.tile(np.array([200, 10, 10], np.uint8), (8, 8, 1))


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """A reader that waits for a pipe is woken after ten seconds."""

    def wake(number: int, frame: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def obj(folder: Path, library: str = "m.mtl", picture: str = "p.png") -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(RED).save(folder / "p.png")
    (folder / "m.mtl").write_text(f"newmtl m\nKd 1 1 1\nmap_Kd {picture}\n", encoding="utf-8")
    (folder / "mesh.obj").write_text(f"mtllib {library}\n{TRIANGLE}", encoding="utf-8")
    return folder / "mesh.obj"


def refused(path: Path) -> str:
    with pytest.raises(ValueError, match="expected") as caught:
        TriangleMesh.from_file(path)
    text = str(caught.value)
    assert text.isprintable() and path.name in text and len(text) < 500, text
    return text


def test_files_beside_the_mesh_are_read(tmp_path: Path) -> None:
    mesh = TriangleMesh.from_file(obj(tmp_path / "a"))
    assert np.array_equal(mesh.texture, RED)
    (tmp_path / "a/sub dir").mkdir()
    Image.fromarray(RED).save(tmp_path / "a/sub dir/q.png")
    mesh = TriangleMesh.from_file(obj(tmp_path / "a", picture="sub dir\\q.png"))
    assert np.array_equal(mesh.texture, RED)


OUTSIDE: dict[str, Callable[[Path], str]] = {
    "a device": lambda folder: "/dev/zero",
    "a file above": lambda folder: "../outside",
    "a file by its whole path": lambda folder: str(folder.parent / "outside"),
    "a link that leads out": lambda folder: (folder / "link").symlink_to("../outside") or "link",
    "a pipe": lambda folder: os.mkfifo(folder / "pipe") or "pipe",
    "a link to a device": lambda folder: (folder / "zero").symlink_to("/dev/zero") or "zero",
    "a folder": lambda folder: (folder / "d").mkdir() or "d",
    "nothing": lambda folder: "gone",
    "the password file": lambda folder: "%2e%2e/../../../../../etc/passwd",
}


@pytest.mark.parametrize("kind", OUTSIDE)
@pytest.mark.parametrize("place", ["library", "picture"])
def test_what_is_no_file_in_the_folder_is_left_out(kind: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"newmtl m\nmap_Kd p.png\n")
    (tmp_path / "a").mkdir()
    name = OUTSIDE[kind](tmp_path / "a")
    path = obj(tmp_path / "a", **{place: name})
    with pytest.warns(UserWarning, match=r"mesh\.obj: left out ") as caught:
        mesh = TriangleMesh.from_file(path)
    assert mesh.n_faces == 1 and not np.array_equal(mesh.texture, RED)
    assert all(str(w.message).isprintable() and len(str(w.message)) < 500 for w in caught)


def test_a_pipe_or_a_folder_as_the_mesh_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.obj")
    (tmp_path / "folder.glb").mkdir()
    assert "no regular file" in refused(tmp_path / "pipe.obj")
    assert "no regular file" in refused(tmp_path / "folder.glb")
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match=r"pipe\.npz: expected .*regular file"):
        read_object(tmp_path / "pipe.npz")


def test_a_damaged_texture_is_named(tmp_path: Path) -> None:
    path = obj(tmp_path / "a")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a/p.png")
    whole = (tmp_path / "a/p.png").read_bytes()
    (tmp_path / "a/p.png").write_bytes(whole[: len(whole) // 2])
    assert "damaged texture" in refused(path)


def test_textures_are_judged_by_their_header(tmp_path: Path) -> None:
    path = obj(tmp_path / "a")
    large = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 12000, 12000, 8, 2, 0, 0, 0))
    (tmp_path / "a/p.png").write_bytes(large + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    assert "a texture of 12000 x 12000 px" in refused(path)
    stream = io.BytesIO()
    Image.fromarray(RED).save(stream, "EPS")
    (tmp_path / "a/p.png").write_bytes(stream.getvalue())
    assert "a texture of the format EPS" in refused(path)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def glb(path: Path, change: Callable[[dict], object], indices: tuple[int, ...] = (0, 1, 2)) -> Path:
    """One triangle as GLB, its header changed."""
    body = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32).tobytes() + np.array(indices, np.uint32).tobytes()
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 12},
        ],
        "buffers": [{"byteLength": 48}],
    }
    change(tree)
    header = json.dumps(tree).encode()
    header += b" " * (-len(header) % 4)
    whole = b"glTF" + struct.pack("<II", 2, 28 + len(header) + len(body))
    whole += struct.pack("<I4s", len(header), b"JSON") + header + struct.pack("<I4s", len(body), b"BIN\0") + body
    path.write_bytes(whole)
    return path


CHANGES: dict[str, tuple[Callable[[dict], object], str]] = {
    "counts": (lambda t: t["accessors"].append({"componentType": 5126, "count": 10**13, "type": "VEC3"}), "asks for"),
    "below zero": (lambda t: t["accessors"][0].update(count=-3), "an accessor of -3"),
    "no number": (lambda t: t["accessors"][0].update(count="3"), "an accessor of 3"),
    "a type": (lambda t: t["accessors"][0].update(type=[]), "an accessor of 3"),
    "a circle": (lambda t: t["nodes"][0].update(children=[0]), "contain themselves"),
    "a long circle": (
        lambda t: t["nodes"].extend([{"children": [2]}, {"children": [1]}]),
        "contain themselves",
    ),
    "a missing child": (lambda t: t["nodes"][0].update(children=[7]), "a child 7 of 1"),
    "lists": (lambda t: t.update(nodes="x"), "no list of objects"),
    "nan": (lambda t: t["nodes"][0].update(matrix=[float("nan")] * 16), "not finite"),
    "singular, with normals": (lambda t: t["nodes"][0].update(scale=[1e300, 1e300, 1]), "not finite or beyond"),
    "a file elsewhere": (lambda t: t["buffers"][0].update(uri="../../etc/passwd"), "glb"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_headers_of_gltf_are_checked(kind: str, tmp_path: Path) -> None:
    change, said = CHANGES[kind]
    path = glb(tmp_path / "m.glb", lambda tree: None)
    assert TriangleMesh.from_file(path).n_faces == 1
    if kind == "a file elsewhere":
        path = tmp_path / "m.gltf"
        header = (tmp_path / "m.glb").read_bytes()
        tree = json.loads(header[20 : 20 + struct.unpack("<I", header[12:16])[0]])
        change(tree)
        path.write_text(json.dumps(tree), encoding="utf-8")
        refused(path)
    else:
        assert said in refused(glb(path, change))


def test_a_scene_that_repeats_its_parts_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerf2mesh.mesh.scene_file.MAX_FACES", 99)

    def repeat(tree: dict) -> None:
        tree["nodes"] = [{"mesh": 0} for _ in range(100)]
        tree["scenes"] = [{"nodes": list(range(100))}]

    assert "100 faces" in refused(glb(tmp_path / "m.glb", repeat))


@pytest.mark.parametrize("index", [3, 2**32 - 1])
def test_faces_name_vertices_that_are_there(index: int, tmp_path: Path) -> None:
    refused(glb(tmp_path / "m.glb", lambda tree: None, (0, 1, index)))
    (tmp_path / "m.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 {index + 1}\n", encoding="utf-8")
    refused(tmp_path / "m.obj")
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 1\nproperty list uchar uint vertex_indices\nend_header\n"
    (tmp_path / "m.ply").write_text(f"{header}0 0 0\n1 0 0\n0 1 0\n3 0 1 {index}\n", encoding="utf-8")
    refused(tmp_path / "m.ply")
    arrays = {"v": np.eye(3, dtype=np.int16), "n": np.eye(3, dtype=np.int8), "c": np.zeros((3, 3), np.uint8)}
    np.savez(tmp_path / "m.npz", **arrays, f=np.array([[0, 1, index]], np.uint32))
    with pytest.raises(ValueError, match=rf"m\.npz: expected a packed mesh .* a face that names vertex {index} of 3"):
        read_object(tmp_path / "m.npz")


def test_a_packed_mesh_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerf2mesh.objects.mesh.MAX_BYTES", 50_000)
    np.savez_compressed(tmp_path / "m.npz", v=np.zeros((100_000, 3), np.int16))
    with pytest.raises(ValueError, match=r"m\.npz: expected a packed mesh with v, n, c, f, got 6\d+ bytes"):
        read_object(tmp_path / "m.npz")


def test_places_that_no_face_uses_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv nan inf 1e300\nf 1 2 3\n", encoding="utf-8")
    mesh = TriangleMesh.from_file(tmp_path / "m.obj", up="z", front="x")
    assert np.isfinite(mesh.vertices).all()
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 nan 0\nf 1 2 3\n", encoding="utf-8")
    assert "not finite" in refused(tmp_path / "m.obj")


def test_normals_and_uv_that_are_no_numbers_do_no_harm() -> None:
    wrong = np.full((3, 3), np.nan)
    part = MeshArrays(np.eye(3), np.array([[0, 1, 2]]), wrong, None, np.full((1, 3, 2), np.inf, np.float32))
    assert checked(part).vertex_normals is None and not checked(part).uv.any()


def test_a_factor_in_linear_light_against_its_formula() -> None:
    """One row of every level, against the sRGB curve of IEC 61966-2-1 applied to each number."""
    texture = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 4, axis=2)
    x, factor = np.arange(256) / 255, np.array([0.25, 0.5, 1.0])
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)[:, None] * factor
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    got = multiplied(texture, factor, True)
    assert np.array_equal(got[0, :, :3], np.round(255 * wanted)) and np.array_equal(got[..., 3], texture[..., 3])
    assert np.array_equal(multiplied(texture, factor, False)[0, :, 1], np.round(np.arange(256) * 0.5))
