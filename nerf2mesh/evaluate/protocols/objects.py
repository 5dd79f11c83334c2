"""Protocol `objects`: reconstruction of other people's meshes that no prior was trained on, from one picture.

Objects, read from `data_dir`, a folder with a manifest (`objects.folder`)
    Split `heldout`: of the sources that priors are trained on. Split `outside`: of other sources. The draw takes
    `per_split` of each, by `draw_seed` alone and balanced by kind: kinds take turns, each giving its objects in the
    order of a hash of seed and name, until enough are drawn. The first m of a draw are the draw of m.
Mesh
    At most 20,000 faces. Uncolored objects are painted by connected part, at random by their file's name. Vertex colors
    carry the light of an even sky, albedo x (0.6 + 0.4 (1 + n_z) / 2), which favors no side; textures stay as they are.
    It is turned about Z (`yaws`: 1 or several even steps, case NAME@045 showing the side at azimuth 45 degrees), then
    put into the canonical frame of `canonical`.
Input
    One picture: azimuth 0 (the file's front), elevation 20 degrees, distance 3.2, vertical field of view 40 degrees,
    256 px, RGBA with straight alpha. The method is given this camera and may not move or scale the picture.
Truth
    8 novel views at 128 px and the settings of `heldout` (2 x 2 samples a pixel, white background, 128^3 voxels, 4,000
    surface samples each way). The inside of a mesh that is not closed is where the mean signed crossing count of six
    directions is beyond one half (`solids`): for closed meshes, overlapping parts included, that is exact.
Beside the usual scores, `regions`: pixels of the novel views whose surface the picture shows, and the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import torch

from nerf2mesh.evaluate.metrics.solids import occupancy
from nerf2mesh.evaluate.metrics.visibility import seen_pixels, solidity, unseen_share
from nerf2mesh.evaluate.protocols.canonical import canonical_frame, input_camera, turned
from nerf2mesh.evaluate.protocols.heldout import SETTINGS, VIEW_PX, view_cameras
from nerf2mesh.evaluate.protocols.names import SPLITS, split_yaw
from nerf2mesh.evaluate.protocols.scoring import Case, picture, render_views
from nerf2mesh.evaluate.protocols.truth_cache import Arrays, kept_arrays
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.objects.mesh import ObjectMesh
from nerf2mesh.objects.patterns import painted_parts
from nerf2mesh.types import Rendering

AMBIENT = 0.6
_GREY = 0.8
_FORMAT = 1
"""Raised when what a cache file holds changes its meaning."""


def drawn_names(data_dir: str, split: str = "both", per_split: int = 48, seed: int = 0) -> list[str]:
    """The names of the objects drawn, the splits taking turns. ValueError where the folder has too few."""
    found = []
    for name in SPLITS[:2] if split == "both" else (split,):
        pool = [entry for entry in _known(data_dir).values() if entry.split == name]
        if not 1 <= per_split <= len(pool):
            raise ValueError(
                f"per_split: expected 1 to {len(pool)}, the objects of split {name} in {data_dir}, got {per_split}; "
                "change it, or choose another split"
            )
        found.append(list(draw(pool, seed))[:per_split])
    names = {entry.path: name for name, entry in _known(data_dir).items()}
    return [names[entry.path] for entry in chain(*zip_longest(*found)) if entry is not None]


def evaluation_names(data_dir: str) -> list[str]:
    """All objects that are not for training, in the order of the manifest."""
    return [name for name, entry in _known(data_dir).items() if entry.split != "train"]


def draw(pool: Sequence[ObjectEntry], seed: int) -> Iterator[ObjectEntry]:
    """All objects of a pool in the order of the draw: kinds take turns, hashes order kinds and objects."""

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{seed} {name}".encode()).digest()

    kinds = sorted({entry.kind for entry in pool}, key=rank)
    columns = [sorted((e for e in pool if e.kind == kind), key=lambda e: rank(e.path.name)) for kind in kinds]
    return (entry for row in zip_longest(*columns) for entry in row if entry is not None)


def object_case(name: str, data_dir: str, *, cache: Path | None = None) -> Case:
    """The case of NAME or NAME@YAW; rendered on the first call, read from the cache after."""
    entry, read, mesh, yaw_deg = _read(name, data_dir)
    arrays = kept_arrays(cache, _digest(mesh), lambda: _truth(mesh))
    about = {key: getattr(entry, key) for key in ("split", "kind", "licence", "source", "credit", "near_test")}
    about |= {"yaw_deg": yaw_deg, "faces": mesh.n_faces, "uncolored": read.uncolored}
    about |= {key: float(arrays[key]) for key in ("unseen", "solidity")} | {"closed": bool(arrays["closed"])}
    return _as_case(name, mesh, arrays, about)


def object_mesh(name: str, data_dir: str) -> TriangleMesh:
    """The mesh of the case NAME or NAME@YAW, colored and in the canonical frame."""
    return _read(name, data_dir)[2]


def _read(name: str, data_dir: str) -> tuple[ObjectEntry, ObjectMesh, TriangleMesh, float]:
    """What the manifest says, the file, the mesh of the case, and its yaw in degrees."""
    known, yaw_deg = split_yaw(name)
    if known not in _known(data_dir):
        raise ValueError(f"objects: expected a name out of the folder {data_dir}, got {known}; correct it")
    entry = _known(data_dir)[known]
    read = _folder(data_dir).read(entry)
    return entry, read, canonical_frame(turned(lit_mesh(read, entry.path.name), yaw_deg)), yaw_deg


def lit_mesh(mesh: ObjectMesh, name: str) -> TriangleMesh:
    """The mesh as it is shown: uncolored parts painted by a hash of `name`, vertex colors under an even sky."""
    if mesh.texture is not None:
        return mesh.triangle_mesh()
    colors = mesh.colors if mesh.colors is not None else np.full(mesh.vertices.shape, _GREY, np.float32)
    if mesh.parts is not None:
        digest = hashlib.sha256(name.encode()).digest()
        colors = painted_parts(mesh.parts, np.random.default_rng(int.from_bytes(digest[:8], "big")))
    plain = TriangleMesh(mesh.vertices, mesh.faces, mesh.normals, colors)
    if plain.vertex_normals is None:  # flat faces: every corner is a vertex of its own
        corners, normals = plain.corners.reshape(-1, 3), plain.face_normals.repeat(3, axis=0)
        faces = np.arange(len(corners)).reshape(-1, 3)
        plain = TriangleMesh(corners, faces, normals, colors[mesh.faces].reshape(-1, 3))
    assert plain.vertex_normals is not None and plain.vertex_colors is not None
    sky = AMBIENT + (1.0 - AMBIENT) * 0.5 * (1.0 + plain.vertex_normals[:, 2:])
    return TriangleMesh(plain.vertices, plain.faces, plain.vertex_normals, plain.vertex_colors * sky.astype(np.float32))


def _truth(mesh: TriangleMesh) -> Arrays:
    """The arrays of one cache file."""
    camera, views = input_camera(), view_cameras()
    shown, solid = render_views(mesh, views, SETTINGS), occupancy(mesh, SETTINGS.iou_resolution)
    assert shown.normal is not None
    seen, unseen = seen_pixels(mesh, views, [camera])
    return {
        "image": _bytes(picture(render_views(mesh, camera, SETTINGS))),
        "rgb": _bytes(shown.rgb),
        "alpha": shown.opacity.half().numpy(),
        "depth": shown.depth.numpy(),
        "normal": (shown.normal * 127).round().to(torch.int8).numpy(),
        "solid": np.packbits(solid.numpy()),
        "seen": np.packbits(seen.numpy()),
        "beyond": np.packbits(unseen.numpy()),
        "unseen": np.array(unseen_share(mesh, [camera])),
        "solidity": np.array(solidity(mesh, solid)),
        "closed": np.array(mesh.welded().is_watertight),
    }


def _as_case(name: str, mesh: TriangleMesh, arrays: Arrays, about: dict[str, object]) -> Case:
    rgb, depth = torch.from_numpy(arrays["rgb"]).float() / 255, torch.from_numpy(arrays["depth"]).float()
    normal, alpha = torch.from_numpy(arrays["normal"]).float() / 127, torch.from_numpy(arrays["alpha"]).float()
    image, n = torch.from_numpy(arrays["image"]).float() / 255, SETTINGS.iou_resolution
    regions = tuple(_unpacked(arrays[key], tuple(alpha.shape)) for key in ("seen", "beyond"))
    truth = Rendering(rgb, alpha, depth, normal)
    return Case(
        name, mesh, image, input_camera(), view_cameras(), truth, SETTINGS,
        solid=_unpacked(arrays["solid"], (n, n, n)), regions=(regions[0], regions[1]), about=about,
    )  # fmt: skip


def _digest(mesh: TriangleMesh) -> str:
    """A name for what the truth depends on: the mesh with its colors, the settings."""
    digest = hashlib.sha256(repr((_FORMAT, SETTINGS, VIEW_PX)).encode())
    for array in (mesh.vertices, mesh.faces, mesh.vertex_normals, mesh.vertex_colors, mesh.uv, mesh.texture):
        digest.update(b"none" if array is None else repr((array.shape, array.dtype)).encode() + array.tobytes())
    return f"objects-{digest.hexdigest()[:24]}"


@lru_cache(maxsize=1)
def _folder(data_dir: str) -> ObjectFolder:
    if not Path(data_dir).is_dir():
        raise ValueError(f"data_dir: expected a folder of meshes with its manifest, got {data_dir}; correct it")
    return ObjectFolder(data_dir)


@lru_cache(maxsize=1)
def _known(data_dir: str) -> dict[str, ObjectEntry]:
    """The objects of the folder by name: the file below the folder or its `models`, without its ending."""
    folder, found = _folder(data_dir), {}
    for entry in folder.entries:
        name = entry.path.relative_to(folder.folder).with_suffix("").as_posix().removeprefix("models/")
        found.setdefault(name.replace("/", "-"), entry)
    if len(found) < len(folder.entries):
        raise ValueError(
            f"data_dir: expected files of different names, got {len(folder.entries) - len(found)} names twice in "
            f"{data_dir}; rename them"
        )
    return found


def _unpacked(bits: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.unpackbits(bits, count=int(np.prod(shape)))).reshape(shape).bool()


def _bytes(values: torch.Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255).round().byte().numpy()
