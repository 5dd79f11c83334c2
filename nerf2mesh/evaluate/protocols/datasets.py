"""Readers of published data from a folder that the user has. Nothing is downloaded, and what is missing is named.

Every reader checks that all files of what it returns are there before it returns anything, so that a run of hours does
not stop at the last object. Licences are the data's own: Google Scanned Objects CC BY 4.0, the others as
their pages say.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.inputs.picture import MAX_BYTES
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.utils.regular_file import read_regular


@dataclass(frozen=True)
class MeshItem:
    """One mesh file of a data set and the axes along which it stands and faces; `texture` where the MTL misses it."""

    name: str
    path: Path
    up: str
    front: str
    texture: Path | None = None

    def load(self) -> TriangleMesh:
        """The TriangleMesh in world axes, not yet scaled."""
        if self.texture is None:
            return TriangleMesh.from_file(self.path, up=self.up, front=self.front)
        with tempfile.TemporaryDirectory() as folder:
            room = os.path.realpath(self.path.parent)
            beside = [f for f in self.path.parent.iterdir() if Path(os.path.realpath(f)).is_relative_to(room)]
            for source in (*beside, self.texture):
                if source.is_file():
                    shutil.copy(source, folder)
            return TriangleMesh.from_file(Path(folder) / self.path.name, up=self.up, front=self.front)


def google_scanned_objects(root: Path | str, names: Sequence[str] | None = None) -> list[MeshItem]:
    """NAME/meshes/model.obj with NAME/materials/textures/texture.png, as the published archives unpack; +Z up."""
    folders = _folders(root, names, "meshes/model.obj", "Google Scanned Objects")
    textures = [folder / "materials" / "textures" / "texture.png" for folder in folders]
    _require(textures, "Google Scanned Objects")
    meshes = [folder / "meshes" / "model.obj" for folder in folders]
    return [MeshItem(f.name, m, "z", "-y", t) for f, m, t in zip(folders, meshes, textures)]


def omniobject3d(root: Path | str, names: Sequence[str] | None = None) -> list[MeshItem]:
    """CATEGORY/NAME/Scan/Scan.obj with its texture beside it, as in raw_scans; taken as +Y up, +Z front."""
    root = _root(root, "OmniObject3D")
    found = {path.parts[-3]: path for path in sorted(root.glob("*/*/Scan/Scan.obj"))}
    chosen = _chosen(found, names, root, "CATEGORY/NAME/Scan/Scan.obj", "OmniObject3D")
    return [MeshItem(name, path, "y", "z") for name, path in chosen.items()]


def objaverse(root: Path | str, names: Sequence[str] | None = None) -> list[MeshItem]:
    """All NAME.glb under a folder, at any depth (as the objaverse package stores them); +Y up, +Z front."""
    root = _root(root, "Objaverse")
    found = {path.stem: path for path in sorted(root.rglob("*.glb"))}
    return [MeshItem(n, p, "y", "z") for n, p in _chosen(found, names, root, "NAME.glb", "Objaverse").items()]


def realfusion15(root: Path | str, names: Sequence[str] | None = None) -> dict[str, Float[Tensor, "h w 4"]]:
    """NAME/rgba.png: single pictures with a mask and no true shape (also serves for NeRF4)."""
    folders = _folders(root, names, "rgba.png", "RealFusion15")
    return {folder.name: read_rgba(folder / "rgba.png") for folder in folders}


def t3bench_prompts(root: Path | str) -> dict[str, str]:
    """Those of prompt_single.txt, prompt_surr.txt and prompt_multi.txt that are there: "single-000" -> words."""
    root = _root(root, "T3Bench")
    found = {}
    for group in ("single", "surr", "multi"):
        path = root / f"prompt_{group}.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        prompts = [line.strip() for line in lines if line.strip()]
        found |= {f"{group}-{k:03d}": prompt for k, prompt in enumerate(prompts)}
    if not found:
        raise ValueError(
            f"data_dir: expected T3Bench's prompt_single.txt, prompt_surr.txt or prompt_multi.txt in {root}, got none; "
            "copy them there"
        )
    return found


def read_rgba(path: Path) -> Float[Tensor, "h w 4"]:
    """An 8-bit picture as straight-alpha RGBA in [0, 1]; opaque where it has no alpha."""
    from PIL import Image

    try:
        data = read_regular(path, limit_bytes=MAX_BYTES, follow=True)
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            warnings.simplefilter("ignore")
            return torch.from_numpy(np.array(image.convert("RGBA"))).float() / 255
    except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
        raise ValueError(
            f"picture: expected a readable PNG or JPEG, got {path}: {' '.join(str(error).split())}; copy the data again"
        ) from error


def _folders(root: Path | str, names: Sequence[str] | None, member: str, what: str) -> list[Path]:
    root = _root(root, what)
    found = {f.name: f for f in sorted(root.iterdir()) if (f / member).is_file()}
    return list(_chosen(found, names, root, f"NAME/{member}", what).values())


def _chosen(found: dict[str, Path], names: Sequence[str] | None, root: Path, layout: str, what: str) -> dict[str, Path]:
    if not found:
        raise ValueError(
            f"data_dir: expected {what}'s files {layout} under {root}, got none; unpack the data set there"
        )
    missing = [name for name in names or () if name not in found]
    if missing:
        lacking = ", ".join(missing)
        raise ValueError(f"objects: expected {layout} of {lacking} under {root}, got none; unpack {what} whole")
    return {name: path for name, path in found.items() if not names or name in names}


def _root(root: Path | str, what: str) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise ValueError(
            f"data_dir: expected a folder with {what}, got {root}; download the data set yourself and give its path"
        )
    return root


def _require(files: Sequence[Path], what: str) -> None:
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ValueError(
            f"data_dir: expected {len(files)} files of {what}, got {len(files) - len(missing)}; the first missing is "
            f"{missing[0]}: copy it there"
        )
