"""A data set that the user has brought, made ready for a run of days: every file read once, its checksum kept.

The list is a file of JSON lines, one an object: its name, its files with their sizes and SHA-256, its faces, and what
is wrong with it, if anything. It only grows while it is made: stopped at any time, the same command goes on. An object
whose files have other sizes or times than when it was listed is read again. `verify` reads all bytes anew and compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nerf2mesh.evaluate.protocols.datasets import MeshItem, google_scanned_objects, objaverse, omniobject3d
from nerf2mesh.report import sha256_file
from nerf2mesh.utils.atomic_write import atomic_write_text

READERS: dict[str, Callable[..., list[MeshItem]]] = {
    "gso": google_scanned_objects,
    "omniobject3d": omniobject3d,
    "objaverse": objaverse,
}
BESIDE = (".mtl", ".png", ".jpg", ".jpeg")
"""Files beside a mesh that belong to it; a GLB has all within."""


@dataclass(frozen=True)
class Listed:
    """One object of the list. files: path below the data set's folder -> [bytes, time of change in ns, SHA-256]."""

    name: str
    files: dict[str, tuple[int, int, str]]
    faces: int
    wrong: str = ""


def prepare(
    dataset: str, root: Path | str, listing: Path | str, *, say: Callable[[str], None] = print, every: int = 50
) -> list[Listed]:
    """All objects of the data set, as `listing` has them afterwards; what it has already is not read again.

    A mesh that cannot be read, or has no face, is listed with what is wrong. ValueError for a folder without objects.
    """
    root, listing = Path(root), Path(listing)
    items, known = READERS[dataset](root), read_list(listing)
    _cut_torn_line(listing)
    listing.parent.mkdir(parents=True, exist_ok=True)
    with listing.open("a", encoding="utf-8") as stream:
        for k, item in enumerate(items):
            if not _is_listed(known.get(item.name), root, item):
                known[item.name] = listed(root, item)
                stream.write(json.dumps(asdict(known[item.name])) + "\n")
                stream.flush()
            if (k + 1) % every == 0:
                say(f"{k + 1} of {len(items)} objects")
    found = [known[item.name] for item in items]
    atomic_write_text(listing, "".join(json.dumps(asdict(entry)) + "\n" for entry in found))
    return found


def verify(root: Path | str, listing: Path | str) -> list[str]:
    """What differs from the list, a line each: files that are missing, and files whose bytes are others.

    ValueError where there is no list, or an empty one: then nothing would be compared.
    """
    root, wrong, entries = Path(root), [], read_list(Path(listing))
    if not entries:
        raise ValueError(
            f"list: expected objects listed in {listing}, got none; give the command without --verify first"
        )
    for entry in entries.values():
        for name, (_, _, digest) in entry.files.items():
            path = root / name
            if not path.is_file():
                wrong.append(f"{name}: missing")
            elif sha256_file(path) != digest:
                wrong.append(f"{name}: other bytes than when it was listed")
    return wrong


def listed(root: Path, item: MeshItem) -> Listed:
    """The entry of one object: its files' checksums, and whether its mesh can be read."""
    files = {}
    for path in files_of(item):
        stat = path.stat()
        files[path.relative_to(root).as_posix()] = (stat.st_size, stat.st_mtime_ns, sha256_file(path))
    try:
        faces, wrong = item.load().n_faces, ""
    except (ValueError, OSError) as error:
        faces, wrong = 0, " ".join(str(error).split())[:300]
    return Listed(item.name, files, faces, wrong)


def files_of(item: MeshItem) -> list[Path]:
    """The mesh file, its texture, and of an OBJ the materials and pictures beside it."""
    beside: Sequence[Path] = ()
    if item.path.suffix.lower() == ".obj":
        beside = sorted(p for p in item.path.parent.iterdir() if p.suffix.lower() in BESIDE and p.is_file())
    return list(dict.fromkeys([item.path, *([item.texture] if item.texture is not None else []), *beside]))


def read_list(listing: Path) -> dict[str, Listed]:
    """The entries of a list by name; a last line that was cut off is left out. ValueError for another file."""
    found: dict[str, Listed] = {}
    for number, line in _lines(listing):
        try:
            entry = json.loads(line)
            files = {name: (int(size), int(time), str(digest)) for name, (size, time, digest) in entry["files"].items()}
            found[entry["name"]] = Listed(entry["name"], files, int(entry["faces"]), entry["wrong"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if line.endswith("\n"):
                raise ValueError(
                    f"list: expected lines of prepare, got another in line {number} of {listing}; remove the file"
                ) from error
    return found


def _cut_torn_line(path: Path) -> None:
    """Takes a last line without its end away, so that what is added starts a line of its own."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text and not text.endswith("\n"):
        atomic_write_text(path, text[: text.rfind("\n") + 1])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if path.is_file():
        with path.open(encoding="utf-8") as stream:
            yield from enumerate(stream, 1)


def _is_listed(entry: Listed | None, root: Path, item: MeshItem) -> bool:
    if entry is None:
        return False
    now = {p.relative_to(root).as_posix(): (p.stat().st_size, p.stat().st_mtime_ns) for p in files_of(item)}
    return now == {name: (size, time) for name, (size, time, _) in entry.files.items()}
