"""Downloads the real data of the benchmarks into a folder, with pooch, and checks what arrived.

A file that is there already is checked and kept. An error is one line that says which file to put where by hand.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from nerf2mesh.evaluate.protocols.data_sources import Source, SourceFile, geometry_sha256
from nerf2mesh.utils.atomic_write import atomic_write_bytes, atomic_write_text


def fetch(chosen: Iterable[Source], folder: Path | str, say: Callable[[str], None] = print) -> None:
    """Brings every file of the chosen sources into `folder`, and writes ATTRIBUTION.md there.

    Args:
        chosen: of `data_sources.sources()`.
        folder: created where it is missing.
        say: called with one line for each file.

    Raises:
        ValueError: pooch is not installed, an address cannot be reached, or a file is not the expected one.
    """
    folder, chosen = Path(folder), tuple(chosen)
    with tempfile.TemporaryDirectory() as downloads:
        for source in chosen:
            for file in source.files:
                say(_bring(source, file, folder, Path(downloads)))
    atomic_write_text(folder / "ATTRIBUTION.md", _attribution(chosen, folder))


def _bring(source: Source, file: SourceFile, folder: Path, downloads: Path) -> str:
    """Fetches one file where it is missing; returns the line that says so."""
    path, state = folder / file.path, "is there"
    if not path.is_file():
        data = _data(source, file, path, downloads)
        _check(file, data, file.address)
        if file.texture is not None:
            data, materials = _with_material(data, path.stem, file.texture)
            atomic_write_bytes(path.with_suffix(".mtl"), materials)
        atomic_write_bytes(path, data)
        state = f"from {file.address}"
    data = path.read_bytes()
    _check(file, data, str(path))
    known = "" if file.sha256 or file.geometry_sha256 else " (no hash is known here: compare it with your colleagues')"
    return f"{file.path}: {state}; {source.licence}; SHA-256 {hashlib.sha256(data).hexdigest()}{known}"


def _data(source: Source, file: SourceFile, path: Path, downloads: Path) -> bytes:
    """The file's bytes as published, from its address or out of the archive there."""
    arrived = _download(source, file, path, downloads)
    if file.member is None:
        return arrived.read_bytes()
    try:
        with zipfile.ZipFile(arrived) as archive:
            for name in archive.namelist():
                if name.rsplit("/", 1)[-1] == file.member and not name.startswith("__MACOSX"):
                    return archive.read(name)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"fetch: expected a ZIP archive at {file.address}, got {error}; {_by_hand(source, path)}"
        ) from error
    raise ValueError(
        f"fetch: expected {file.member} in {file.address}, got an archive without it; {_by_hand(source, path)}"
    )


def _download(source: Source, file: SourceFile, path: Path, downloads: Path) -> Path:
    """The file at an address; an archive is downloaded once for all its members."""
    try:
        import pooch
    except ImportError as error:
        raise ValueError(
            f"fetch: expected the package pooch, got none; pip install 'nerf2mesh[bench]', or {_by_hand(source, path)}"
        ) from error
    pooch.get_logger().setLevel("ERROR")
    name = hashlib.sha256(file.address.encode()).hexdigest()[:16]
    try:
        return Path(pooch.retrieve(file.address, known_hash=None, fname=name, path=downloads))
    except OSError as error:  # requests' errors are OSErrors: no network, no such host, 404
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"fetch: expected {file.address} to answer, got {why}; {_by_hand(source, path)}") from error


def _by_hand(source: Source, path: Path) -> str:
    return f"put the file at {path} by hand (from {source.page})"


def _check(file: SourceFile, data: bytes, where: str) -> None:
    """ValueError where the bytes are not the expected ones."""
    wanted = file.sha256 or file.geometry_sha256
    found = geometry_sha256(data) if file.geometry_sha256 else hashlib.sha256(data).hexdigest()
    if wanted is not None and found != wanted:
        what = "geometry" if file.geometry_sha256 else "a file"
        raise ValueError(f"{where}: expected {what} with SHA-256 {wanted}, got {found}; remove it and fetch it again")


def _with_material(obj: bytes, stem: str, texture: str) -> tuple[bytes, bytes]:
    """The OBJ with its own material file, in which every material shows `texture`; and that file."""
    lines = [line for line in obj.splitlines() if not line.startswith(b"mtllib")]
    names = dict.fromkeys(line.split(maxsplit=1)[1].strip() for line in lines if line.startswith(b"usemtl "))
    if not names:
        names = {b"material": None}
        lines.insert(next((k for k, line in enumerate(lines) if line.startswith(b"f ")), 0), b"usemtl material")
    keys = f"Ka 0 0 0\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd {texture}\n".encode()
    materials = b"".join(b"newmtl " + name + b"\n" + keys for name in names)
    return b"\n".join([b"mtllib " + f"{stem}.mtl".encode(), *lines]) + b"\n", materials


def _attribution(chosen: Iterable[Source], folder: Path) -> str:
    """Who made what, under which licence; of all that the folder has been given, this time and before."""
    path = folder / "ATTRIBUTION.md"
    lines = path.read_text(encoding="utf-8").splitlines()[4:] if path.is_file() else []
    kept = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    for source in chosen:
        kept[f"{source.name}/"] = f"| {source.name}/ | {source.author} | {source.licence} | {source.page} |"
    head = ["# Data of others, fetched for benchmarks", "", "| folder | author | licence | from |", "|---|---|---|---|"]
    return "\n".join([*head, *kept.values()]) + "\n"
