"""The record inside files: one byte changed is noticed anywhere, and damaged files are one line."""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.rights import Record, Signer
from nerf2mesh.rights.containers import CARRIERS, find
from nerf2mesh.rights.inspect_file import show, verify
from nerf2mesh.rights.seal import is_whole, make_key, read_key
from nerf2mesh.run.pictures import save_row
from nerf2mesh.types import Rendering

AUTHOR = 'Ärger "& Söhne" \\ \n\x1b[31m 北京'


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    pytest.importorskip("cryptography", reason="needs the extra provenance")
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    assert make_key(path) == read_key(path).name and path.stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="key: expected a new file"):
        make_key(path)
    return read_key(path)


def record(signer: Signer | None = None, author: str = AUTHOR) -> Record:
    row = {"what": "input", "credit": author, "license": "LicenseRef-Own-Work", "sha256": "ab" * 32}
    software = {"name": "nerf2mesh", "version": "0"}
    content = {"title": "A cup", "materials": [row], "software": software, "digital_source_type": "http://x/y"}
    return Record(content, signer)


def written(folder: Path, suffix: str, what: Record | None) -> Path:
    """A small file of each kind that carries the record."""
    path = folder / f"a{suffix}"
    if suffix == ".png":
        flat = torch.ones(1, 4, 4, 1)
        save_row(path, Rendering(torch.rand(1, 4, 4, 3), *[flat[..., 0]] * 2), what)
        return path
    texture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    uv = np.array([[[0, 0], [1, 0], [0, 1]]] * 4, dtype=np.float32)
    corners, faces = np.eye(4, 3), np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    return save_mesh(TriangleMesh(corners, faces, uv=uv, texture=texture), path, record=what)


@pytest.mark.parametrize("suffix", CARRIERS)
def test_any_byte_that_changes_is_noticed(suffix: str, signer: Signer, tmp_path: Path) -> None:
    """All bytes, one after the other, two ways of changing each."""
    path = written(tmp_path, suffix, record(signer))
    data = path.read_bytes()
    assert verify(path, signer.name).holds and len(data) > 700
    unnoticed = []
    for place in range(len(data)):
        for change in (0x01, 0x20):
            other = bytearray(data)
            other[place] ^= change
            try:
                carried = find(bytes(other), suffix)
                holds = carried is not None and is_whole(bytes(other), suffix, carried)
            except ValueError:
                holds = False
            # The last 128 digits are the signature, which is not part of the digest; verify checks it (below).
            if holds and carried is not None and carried.seal == find(data, suffix).seal:
                unnoticed.append(place)
    assert unnoticed == []


@pytest.mark.parametrize("suffix", CARRIERS)
def test_a_changed_signature_or_record_is_not_valid_even_with_a_new_digest(
    suffix: str, signer: Signer, tmp_path: Path
) -> None:
    data = written(tmp_path, suffix, record(signer)).read_bytes()
    seal = find(data, suffix).seal
    other = tmp_path / f"other{suffix}"
    flipped = seal[:65] + ("0" if seal[65] != "0" else "1") + seal[66:]
    other.write_bytes(data.replace(seal.encode(), flipped.encode()))
    assert not verify(other).holds
    forged = written(tmp_path, suffix, record(None).plus(signed_by=signer.name))
    found = verify(forged)
    assert not found.holds and any("signature: INVALID" in line for line in found.lines)
    stranger = tmp_path / "stranger.pem"
    make_key(stranger)
    theirs = written(tmp_path, suffix, record(read_key(stranger)))
    assert verify(theirs).holds and not verify(theirs, signer.name).holds


def test_digest_and_signature_by_the_written_rule(signer: Signer, tmp_path: Path) -> None:
    """The truth is the rule in the module's text, done by hand with hashlib and cryptography."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = written(tmp_path, ".ply", record(signer)).read_bytes()
    digest, signature = re.search(rb"nerf2mesh-seal ([0-9a-f]{64})\.([0-9a-f]{128})\n", data).groups()
    blank = data.replace(digest + b"." + signature, b"0" * 64 + b"." + b"0" * 128)
    assert hashlib.sha256(blank).hexdigest() == digest.decode()
    text = b"".join(re.findall(rb"^comment nerf2mesh-record (.*)$", data, re.MULTILINE))
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(json.loads(text)["signed_by"]))
    key.verify(bytes.fromhex(signature.decode()), b"nerf2mesh provenance 1\n" + text + b"\n" + digest)


@pytest.mark.parametrize("suffix", CARRIERS)
def test_unsigned_files_say_so_and_the_same_record_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = written(tmp_path, suffix, record()).read_bytes()
    torch.manual_seed(0)
    path = written(tmp_path, suffix, record())
    assert path.read_bytes() == first
    found = verify(path)
    assert found.holds and "signature: none" in found.lines
    assert any("who wrote the record" in line for line in found.lines)
    assert all(line.isprintable() for line in [*show(path), *found.lines])
    assert any("北京" in line for line in show(path))


@pytest.mark.parametrize("suffix", CARRIERS)
def test_files_without_a_record_and_cut_files_are_one_line(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing is known of it"):
        verify(written(tmp_path, suffix, None))
    data = written(tmp_path, suffix, record()).read_bytes()
    for length in [*range(60), *range(60, len(data), 97)]:
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(data[:length])
        try:
            assert not verify(cut).holds
        except ValueError as error:
            assert "\n" not in str(error) and str(error).startswith("file: expected")


def test_files_of_others_and_of_other_kinds(tmp_path: Path) -> None:
    for name, data in (("a.stl", b"x" * 200), ("a.glb", b"glTF" + b"\xff" * 50), ("a.png", b"\x89PNG\r\n\x1a\n" * 3)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match="file: expected"):
            show(tmp_path / name)
    with pytest.raises(ValueError, match="file: expected a file"):
        show(tmp_path / "none.glb")


def test_hostile_records_stay_small_and_printable(tmp_path: Path) -> None:
    deep = "[" * 50_000 + "]" * 50_000
    many = json.dumps({f"k{i}\x1b": "\u202e" for i in range(5000)})
    for text in (deep, "3", '"x"', many, '{"files": {"../../etc/passwd": "00", "a.mtl": 3}, "signed_by": [1]}'):
        lines = [text[i : i + 200] for i in range(0, len(text), 200)]
        path = tmp_path / "a.obj"
        path.write_text("".join(f"# nerf2mesh-record {line}\n" for line in lines) + "v 0 0 0\n", encoding="utf-8")
        try:
            said = [*show(path), *verify(path).lines]
        except ValueError as error:
            said = [str(error)]
        assert len(said) < 500 and all(line.isprintable() and len(line) < 700 for line in said)
        assert not any("passwd: as recorded" in line for line in said)


def test_a_copy_that_another_program_kept_is_readable_and_said_to_be_one(signer: Signer, tmp_path: Path) -> None:
    """As Blender writes it: the scene's extras stay, extensions that it does not know go."""
    data = written(tmp_path, ".glb", record(signer)).read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    tree = json.loads(data[20 : 20 + size])
    del tree["extensions"], tree["extensionsUsed"], tree["asset"]["extensions"]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest)) + struct.pack("<I4s", len(text), b"JSON")
    other = tmp_path / "again.glb"
    other.write_bytes(head + text + rest)
    found = verify(other, signer.name)
    assert not found.holds and "another program has written the file anew" in found.lines[0]
    assert "signature: valid for the record" in found.lines[1]


def test_an_obj_names_its_side_files(tmp_path: Path) -> None:
    path = written(tmp_path, ".obj", record())
    assert {"a.mtl: as recorded", "a.png: as recorded"} <= set(verify(path).lines)
    (tmp_path / "a.mtl").write_text("newmtl other\n")
    (tmp_path / "a.png").unlink()
    found = verify(path)
    assert not found.holds and {"a.mtl: CHANGED", "a.png: not beside it, not checked"} <= set(found.lines)


def test_materials_are_compared_by_their_digest(tmp_path: Path) -> None:
    picture = tmp_path / "cup.png"
    picture.write_bytes(b"a picture")
    row = {"what": "input", "sha256": hashlib.sha256(b"a picture").hexdigest()}
    path = written(tmp_path, ".glb", record().plus(materials=[row]))
    assert verify(path, materials=[picture]).holds
    picture.write_bytes(b"another picture")
    assert not verify(path, materials=[picture]).holds


def test_the_packet_follows_xmp_and_other_readers_still_read_the_files(tmp_path: Path) -> None:
    import trimesh

    path = written(tmp_path, ".glb", record())
    data = path.read_bytes()
    tree = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    packet = tree["extensions"]["KHR_xmp_json_ld"]["packets"][tree["asset"]["extensions"]["KHR_xmp_json_ld"]["packet"]]
    assert tree["extensionsUsed"] == ["KHR_xmp_json_ld"]
    prefixes = {key.partition(":")[0] for key in packet if not key.startswith("@")}
    assert prefixes <= set(packet["@context"]) and all(re.fullmatch("[A-Za-z0-9_]+", p) for p in prefixes)
    assert packet["dc:creator"] == {"@list": [AUTHOR]}
    assert packet["xmpRights:UsageTerms"]["rdf:_1"]["@value"] == "input: LicenseRef-Own-Work"
    for suffix in (".glb", ".obj", ".ply"):
        assert len(trimesh.load(written(tmp_path, suffix, record()), force="mesh", process=False).faces) == 4
    with zipfile.ZipFile(written(tmp_path, ".usdz", record())) as archive:
        assert archive.testzip() is None
    with Image.open(written(tmp_path, ".png", record())) as picture:
        picture.load()
        assert json.loads(picture.text["nerf2mesh:record"])["title"] == "A cup"
    with Image.open(io.BytesIO(written(tmp_path, ".png", None).read_bytes())) as picture:
        assert not picture.text


def test_a_huge_author_and_keys_that_are_none(tmp_path: Path) -> None:
    path = written(tmp_path, ".usdz", record(author='"\\' * 100_000))
    assert verify(path).holds
    for data in (b"", b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n", b"\xff" * 70_000):
        key = tmp_path / "bad.pem"
        key.write_bytes(data)
        with pytest.raises(ValueError, match=r"report\.sign_key: expected an Ed25519 key"):
            read_key(key)
