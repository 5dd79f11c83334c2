"""What a run writes into its folder: what `overwrite` removes, what a killed run leaves, and refused links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nerf2mesh.utils.atomic_write import SUFFIX
from nerf2mesh.utils.scratch import NAME as SCRATCH

_ENDINGS = (".glb", ".obj", ".mtl", ".png", "_normal.png", ".ply", ".stl", ".3mf", ".usdz", ".fbx", ".abc")
WRITTEN = (
    *("checkpoints", "previews", "adapters", "inputs.json", "changes.json", "interventions.json", "provenance.json"),
    "timings.json",
    *("metrics.json", "metrics.jsonl", "warnings.json", "mesh.json", "turntable.*", "report.html"),
    "ATTRIBUTION.md",
    "cost.json",
    *(f"{stem}{ending}" for stem in ("mesh", "mesh_lod[0-9]*") for ending in _ENDINGS),
    "mesh_frames",
    "confidence.png",
    *("rooms.json", "open_walls.png"),
)
"""What `overwrite` removes: names and patterns of what a run writes; any other file in the folder stays."""
KEPT = ("config.yaml", "overrides.yaml", "versions.json", "wandb_id")
"""What a run writes and `overwrite` writes over."""
FOLDERS = ("checkpoints", "previews", "adapters", "tensorboard", "wandb", SCRATCH)


def check_folders(folder: Path, *, overwrite: bool) -> None:
    """ValueError where a link stands for one of FOLDERS: the run would write outside. `overwrite` removes the link."""
    for name in FOLDERS:
        path = folder / name
        if not path.is_symlink():
            continue
        if not overwrite:
            raise ValueError(
                f"output_dir: expected a folder of the run's own, got a link, {path}; "
                "remove it, or choose another output_dir="
            )
        path.unlink()


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed run left: files that it was writing, and its temporary folders. Links are not followed."""
    for path in _parts(folder):
        if not path.is_dir() or path.is_symlink():
            path.unlink()
    if (folder / SCRATCH).is_dir() and not (folder / SCRATCH).is_symlink():
        shutil.rmtree(folder / SCRATCH)


def _parts(folder: Path) -> Iterator[Path]:
    """Unfinished files by the names that a run gives them."""
    for name in (*WRITTEN, *KEPT):
        yield from folder.glob(name + SUFFIX)
        yield from folder.glob(f"{name}.*{SUFFIX}")
    for name in FOLDERS[:3]:
        if not (folder / name).is_symlink():
            yield from (folder / name).glob("*" + SUFFIX)


def remove_run(folder: Path) -> None:
    """Removes what a run has written, and nothing else; links are removed, not followed."""
    for pattern in WRITTEN:
        for path in folder.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                os.unlink(path)
