"""Fetching real data: from a server on loopback, with every accident that a network and a folder may bring."""

from __future__ import annotations

import hashlib
import io
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nerf2mesh.evaluate.protocols.data_sources import Source, SourceFile, geometry_sha256, sources
from nerf2mesh.evaluate.protocols.fetch import fetch
from nerf2mesh.evaluate.protocols.names import REAL_OBJECTS
from nerf2mesh.evaluate.protocols.reference_meshes import REFERENCE_MESHES
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.sweep.commands import COMMANDS

OBJ = b"# a comment\nmtllib odd.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl skin\nf 1/1 2/2 3/3\n"
GEOMETRY = geometry_sha256(OBJ)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and its address on this machine."""
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def picture() -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (2, 2), (200, 10, 20)).save(data, "PNG")
    return data.getvalue()


def source(address: str, sha256: str = hashlib.sha256(picture()).hexdigest()) -> Source:
    """A model as its author publishes it: an archive with an OBJ, whose material file is odd, and its texture."""
    archive = f"{address}/model.zip"
    files = (
        SourceFile(path="m/m.obj", address=archive, member="tri.obj", geometry_sha256=GEOMETRY, texture="skin.png"),
        SourceFile(path="m/skin.png", address=archive, member="skin.png", sha256=sha256),
    )
    return Source(name="m", author="A. Uthor", licence="CC0-1.0", page="https://example.org/models", files=files)


def write_archive(folder: Path, *names: str) -> None:
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        for name in names:
            archive.writestr(name, OBJ if name.endswith(".obj") else picture())


def test_an_archive_becomes_a_mesh_with_its_texture(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    write_archive(folder, "__MACOSX/m/tri.obj", "m/tri.obj", "m/skin.png")
    lines: list[str] = []
    fetch([source(address)], tmp_path / "data", lines.append)
    mesh = TriangleMesh.from_file(tmp_path / "data" / "m" / "m.obj")
    assert mesh.n_faces == 1 and mesh.texture is not None and mesh.texture[0, 0].tolist()[:3] == [200, 10, 20]
    assert all(f"from {address}/model.zip; CC0-1.0; SHA-256" in line for line in lines)
    (folder / "model.zip").unlink()
    fetch([source(address)], tmp_path / "data", lines.append)
    assert all("is there" in line for line in lines[2:]), "what is there is checked, and not fetched again"
    text = (tmp_path / "data" / "ATTRIBUTION.md").read_text()
    assert text.count("| m/ | A. Uthor | CC0-1.0 | https://example.org/models |") == 1
    assert not list((tmp_path / "data").rglob("*.part"))


def test_what_is_not_the_expected_file_is_refused(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    write_archive(folder, "tri.obj", "skin.png")
    with pytest.raises(ValueError, match=r"model.zip: expected a file with SHA-256 0000, got [0-9a-f]{64}; remove it"):
        fetch([source(address, sha256="0000")], tmp_path / "data", str)
    assert not (tmp_path / "data" / "m" / "skin.png").exists()
    (tmp_path / "data" / "m" / "m.obj").write_bytes(OBJ.replace(b"v 1 0 0", b"v 2 0 0"))
    with pytest.raises(ValueError, match=r"m\.obj: expected geometry with SHA-256"):
        fetch([source(address)], tmp_path / "data", str)
    write_archive(folder, "skin.png")
    with pytest.raises(ValueError, match=r"expected tri\.obj in .*, got an archive without it"):
        fetch([source(address)], tmp_path / "other", str)
    (folder / "model.zip").write_bytes(b"<html>moved</html>")
    with pytest.raises(ValueError, match="expected a ZIP archive"):
        fetch([source(address)], tmp_path / "other", str)


def test_without_an_answer_one_line_says_what_to_put_where(served: tuple[Path, str], tmp_path: Path) -> None:
    """A server that has no such file, and no server at all."""
    for address in (served[1], "http://127.0.0.1:9"):
        with pytest.raises(ValueError, match=r"expected http.*model\.zip to answer, got .*; put the file at") as caught:
            fetch([source(address)], tmp_path / "data", str)
        said = str(caught.value)
        assert str(tmp_path / "data" / "m" / "m.obj") in said and "https://example.org/models" in said
        assert "\n" not in said


def test_without_pooch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ValueError, match=r"expected the package pooch, got none; pip install 'nerf2mesh\[bench\]'"):
        fetch([source("http://127.0.0.1:9")], tmp_path, str)


def test_the_table_of_sources_covers_what_core_reads() -> None:
    known = {found.name: found for found in sources()}
    assert set(REAL_OBJECTS) < set(known) and len(known["gso_chicken"].files) == 49
    for spec in REFERENCE_MESHES:
        assert spec.paths[0] in {file.path for file in known[spec.name].files}
    for found in known.values():
        assert found.licence and found.author and found.page.startswith("https://")
        for file in found.files:
            hashes = [h for h in (file.sha256, file.geometry_sha256) if h]
            assert all(len(h) == 64 for h in hashes) and file.address.startswith("https://")
            assert hashes or "/5bad5aaa0bbb5d0f9cdc934e626f27d0df1e79b8/" in file.address, "a hash, or a fixed commit"


def test_geometry_is_told_apart_from_materials() -> None:
    assert geometry_sha256(OBJ.replace(b"odd.mtl", b"m.mtl").replace(b"\n", b"\r\n")) == GEOMETRY
    assert geometry_sha256(OBJ.replace(b"f 1/1 2/2", b"f 2/2 1/1")) != GEOMETRY


def test_the_command_names_what_it_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected names out of spot, bob, avocado, gso_chicken, got cow"):
        COMMANDS["fetch"]([str(tmp_path), "cow"])
