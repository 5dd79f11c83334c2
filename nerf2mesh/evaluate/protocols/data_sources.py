"""Where the real data come from: the authors' own addresses, their licences, and the SHA-256 of what is downloaded.

Hashes are of files that this project has held and measured with. Three kinds are used:

- a file's own SHA-256, where the address gives that very file or an archive has it as a member;
- of an OBJ, the SHA-256 of its geometry alone (`geometry_sha256`): its material lines are rewritten when it is fetched,
  since the published MTL files use keys that are not standard;
- none, where the project has held the data in another form only; such a file is pinned by the commit in its address.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_SPOT = "https://www.cs.cmu.edu/~kmcrane/Projects/ModelRepository/spot.zip"
_BOB = "https://www.cs.cmu.edu/~kmcrane/Projects/ModelRepository/bob.zip"
_AVOCADO = (
    "https://raw.githubusercontent.com/KhronosGroup/glTF-Sample-Assets/"
    "5bad5aaa0bbb5d0f9cdc934e626f27d0df1e79b8/Models/Avocado/glTF-Binary/Avocado.glb"
)
_SYNCDREAMER = (
    "https://raw.githubusercontent.com/liuyuan-pal/SyncDreamer/cc373c8ed0ef134149c5019e2384d2264649d0a6/eval_examples/"
)


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file: `path` in the data folder, from `address`, or the member of that name of the ZIP archive there."""

    path: str
    address: str
    member: str | None = None
    sha256: str | None = None
    geometry_sha256: str | None = None
    texture: str | None = None
    """Of an OBJ: the picture beside it that every material shows."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is fetched under one name."""

    name: str
    author: str
    licence: str
    page: str
    """Where a person can read about the data and get them by hand."""
    files: tuple[SourceFile, ...]


def sources() -> tuple[Source, ...]:
    """All that `nerf2mesh-bench fetch` knows: the three meshes of protocol `core`, and SyncDreamer's example."""
    crane = "https://www.cs.cmu.edu/~kmcrane/Projects/ModelRepository/"
    return (
        Source(
            name="spot",
            author="Keenan Crane",
            licence="released into the public domain",
            page=crane,
            files=(
                SourceFile(
                    path="spot/spot.obj",
                    address=_SPOT,
                    member="spot_triangulated.obj",
                    geometry_sha256="305c8c1a74406e6381073519fe948a93f5c774b85deb927e7cc36f450ffa50fc",
                    texture="spot_texture.png",
                ),
                SourceFile(
                    path="spot/spot_texture.png",
                    address=_SPOT,
                    member="spot_texture.png",
                    sha256="cddabbae52a666173e7953e238b88340d285044dc20b36f8ed3f1a41db534fa5",
                ),
            ),
        ),
        Source(
            name="bob",
            author="Keenan Crane",
            licence="CC0-1.0",
            page=crane,
            files=(
                SourceFile(
                    path="bob/bob_tri.obj",
                    address=_BOB,
                    member="bob_tri.obj",
                    geometry_sha256="e9171161df135ff025cd9f826b7af31de00ccb574128a4526f52b276cb5c16d8",
                    texture="bob_diffuse.png",
                ),
                SourceFile(
                    path="bob/bob_diffuse.png",
                    address=_BOB,
                    member="bob_diffuse.png",
                    sha256="982a469a5114ab5c1bee06799be9e6e5b79335699d19000cf3060efddcd2b4be",
                ),
            ),
        ),
        Source(
            name="avocado",
            author="Microsoft",
            licence="CC0-1.0",
            page="https://github.com/KhronosGroup/glTF-Sample-Assets/tree/main/Models/Avocado",
            files=(SourceFile(path="avocado/Avocado.glb", address=_AVOCADO),),
        ),
        Source(
            name="gso_chicken",
            author="geometry, true views: Google Scanned Objects (CHICKEN_NESTING), Copyright 2020 Google LLC; "
            "predicted views: SyncDreamer, Copyright 2023 Yuan Liu",
            licence="CC-BY-4.0; MIT",
            page="https://github.com/liuyuan-pal/SyncDreamer/tree/main/eval_examples",
            files=_chicken_files(),
        ),
    )


def geometry_sha256(obj: bytes) -> str:
    """The SHA-256 of an OBJ's vertices, texture coordinates, normals and faces, whatever else the file says."""
    lines = (line.strip() for line in obj.splitlines())
    return hashlib.sha256(b"\n".join(x for x in lines if x.startswith((b"v ", b"vt ", b"vn ", b"f ")))).hexdigest()


def _chicken_files() -> tuple[SourceFile, ...]:
    """The lines of gso_chicken.txt: NAME SHA-256 PATH. 16 true views, depth maps (uint16, z = v / 65535 * 1.8 + 0.6)
    and predicted views, 256 px, and the mesh."""
    lines = Path(__file__).with_name("gso_chicken.txt").read_text(encoding="utf-8").split("\n")
    parts = [line.split() for line in lines if line]
    return tuple(
        SourceFile(path=f"gso_chicken/{name}", address=_SYNCDREAMER + path, sha256=sha256)
        for name, sha256, path in parts
    )
