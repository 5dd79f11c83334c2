"""A folder of meshes and its manifest: which objects there are, of which split, kind and licence.

With a manifest.jsonl, its lines are the objects: `file` (in the folder or its `models`), and where known `split`,
`kind`, `uncoloured`, `licence`, `source`, `credit`, `near_test`. Without one, every mesh file below the folder is an
object. Objects without a split are held out by a hash of their name, so that adding files moves none of the others.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nerf2mesh.mesh.read_file import FORMATS
from nerf2mesh.mesh.scene_file import first_line
from nerf2mesh.objects.config import SPLITS, ObjectDataConfig
from nerf2mesh.objects.mesh import ObjectMesh, read_object
from nerf2mesh.utils.names import inside
from nerf2mesh.utils.regular_file import read_regular

MANIFEST = "manifest.jsonl"
MANIFEST_BYTES = 2**28
TEXTS = ("kind", "licence", "source", "credit")


@dataclass(frozen=True)
class ObjectEntry:
    """One object of a folder; empty texts where nothing is known."""

    path: Path
    split: str
    kind: str = ""
    uncolored: bool | None = None
    """None: to be seen from the file."""
    licence: str = ""
    source: str = ""
    credit: str = ""
    near_test: bool = False


class ObjectFolder:
    """The objects of a folder; files are read when asked for and kept while they fit into memory.

    ValueError where the folder is missing or its manifest is malformed.
    """

    def __init__(self, folder: str | Path, config: ObjectDataConfig | None = None) -> None:
        self.config = config or ObjectDataConfig()
        self.folder = Path(folder)
        self.entries = list_objects(self.folder, self.config)
        self._kept: OrderedDict[Path, ObjectMesh] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, object]:
        """For another process, which reads the files itself."""
        return vars(self) | {"_kept": OrderedDict(), "_bytes": 0}

    def split(self, name: str) -> list[ObjectEntry]:
        """The objects of one of SPLITS, in the order of the manifest or of the file names."""
        if name not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {name!r}; choose one of them")
        return [entry for entry in self.entries if entry.split == name]

    def read(self, entry: ObjectEntry) -> ObjectMesh:
        """The mesh of an entry. ValueError or OSError where the file is missing or broken."""
        mesh = self._kept.pop(entry.path, None)
        if mesh is None:
            c = self.config
            mesh = read_object(entry.path, up=c.up, front=c.front, max_faces=c.max_faces, uncolored=entry.uncolored)
            self._bytes += mesh.n_bytes
        self._kept[entry.path] = mesh
        while self._bytes > self.config.cache_mb * 2**20 and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].n_bytes
        return mesh

    def readable(self, entries: Sequence[ObjectEntry]) -> tuple[list[ObjectEntry], dict[Path, str]]:
        """Those of `entries` whose files can be read, and why the others cannot. Reads them all once."""
        good, broken = [], {}
        for entry in entries:
            try:
                self.read(entry)
                good.append(entry)
            except (OSError, ValueError) as error:
                broken[entry.path] = " ".join(str(error).split())
        return good, broken


def list_objects(folder: Path, config: ObjectDataConfig) -> list[ObjectEntry]:
    """The objects of `folder` that `config` asks for; none of the mesh files is opened."""
    if not folder.is_dir():
        raise ValueError(f"data.meshes: expected a folder, got {folder}; give one with GLB, OBJ, PLY or NPZ files")
    manifest = folder / MANIFEST
    entries = _of_manifest(manifest, config) if manifest.is_file() else _of_files(folder, config)
    chosen = [e for e in entries if not config.kinds or e.kind in config.kinds]
    chosen = [e for e in chosen if config.near_test or not e.near_test]
    if not chosen:
        known = ", ".join(sorted({e.kind for e in entries if e.kind})) or "none"
        kinds = ", ".join(config.kinds)
        wanted = f"objects of kind {kinds}" if kinds else f"{', '.join(FORMATS)} or .npz files"
        raise ValueError(
            f"data.meshes: expected {wanted} in {folder}, got kinds {known}; choose another folder or kind"
        )
    return chosen


def _of_files(folder: Path, config: ObjectDataConfig) -> list[ObjectEntry]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (*FORMATS, ".npz") and path.is_file())
    return [
        ObjectEntry(path, hashed_split(path.relative_to(folder), config.heldout_share), licence=config.licence)
        for path in found
    ]


def _of_manifest(manifest: Path, config: ObjectDataConfig) -> list[ObjectEntry]:
    try:
        lines = read_regular(manifest, limit_bytes=MANIFEST_BYTES, follow=True).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"data.meshes: expected UTF-8 in {manifest}, got {error}; write it anew") from error
    return [_entry(manifest, i + 1, line, config) for i, line in enumerate(lines) if line.strip()]


def _entry(manifest: Path, number: int, line: str, config: ObjectDataConfig) -> ObjectEntry:
    where = f"data.meshes: line {number} of {manifest}"
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected JSON, got {first_line(error)}; repair the line") from error
    if not isinstance(said, dict) or not isinstance(said.get("file"), str):
        raise ValueError(f"{where}: expected an object with `file`, got {line[:60]!r}; repair the line")
    name = Path(said["file"])
    path = inside(manifest.parent, said["file"], where)
    path = path if path.is_file() else inside(manifest.parent / "models", said["file"], where)
    wrong = [key for key in (*TEXTS, "split") if not isinstance(said.get(key), str | None)]
    wrong += [key for key in ("uncoloured", "near_test") if not isinstance(said.get(key), bool | None)]
    if wrong:
        raise ValueError(
            f"{where}: expected text or true or false, got {str(said[wrong[0]])[:40]!r} as {wrong[0]}; repair it"
        )
    split = said.get("split") or hashed_split(name, config.heldout_share)
    if split not in SPLITS:
        raise ValueError(f"{where}: expected a split of {', '.join(SPLITS)}, got {split!r}; repair the line")
    texts = {key: (said.get(key) or "") for key in TEXTS if key != "licence"}
    licence = said.get("licence") or config.licence
    return ObjectEntry(
        path, split, uncolored=said.get("uncoloured"), licence=licence, near_test=bool(said.get("near_test")), **texts
    )


def hashed_split(name: Path, heldout_share: float) -> str:
    """ "heldout" for that share of the names, else "train"; the same for a name in any folder."""
    digest = hashlib.sha256(name.as_posix().encode()).digest()
    return "heldout" if int.from_bytes(digest[:8], "big") < heldout_share * 2**64 else "train"


def hashed_order(entries: Sequence[ObjectEntry]) -> list[ObjectEntry]:
    """Entries in an order that has nothing to do with their names' and stays as files are added."""
    return sorted(entries, key=lambda entry: hashlib.sha256(entry.path.name.encode()).digest())


def licence_summary(entries: Sequence[ObjectEntry]) -> list[dict[str, object]]:
    """Files by licence, source and credit, most first: what weights trained on them have to say."""
    counts = Counter((e.licence, e.source, e.credit) for e in entries)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"licence": licence, "source": source, "credit": credit, "files": n} for (licence, source, credit), n in ordered
    ]
