"""What a result was made from: hashes of inputs, weights and adapters, versions, code state."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.without_paths import without_paths

PACKAGES = (
    *("nerf2mesh", "torch", "numpy", "diffusers", "peft", "transformers", "safetensors", "hydra-core", "omegaconf"),
    *("PyMCubes", "trimesh", "xatlas", "fast-simplification", "manifold3d", "scipy", "opencv-python-headless"),
    *("pillow", "imageio-ffmpeg", "nerfacc", "tinycudann", "shapely", "ezdxf", "pypdfium2", "svgelements"),
)


def sha256_file(path: str | Path) -> str:
    """Hex digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """For versions.json: Python, platform, and the packages that shape a result (those that are installed)."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": _processor()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    torch = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = str(torch.get_num_threads())
        if torch.cuda.is_available():
            found["gpu"], found["cuda"] = torch.cuda.get_device_name(), str(torch.version.cuda)
    return found


def code_state() -> dict[str, object]:
    """{"commit", "dirty"} of the source checkout that runs, or an empty dict for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def provenance(
    *,
    inputs: Mapping[str, str | Path | Mapping[str, object]] | None = None,
    weights: Mapping[str, str | Path | Mapping[str, object]] | None = None,
    seed: int | None = None,
) -> dict[str, object]:
    """For provenance.json.

    Args:
        inputs, weights: a name (such as "image", "prior", "lora/0") -> a file, whose sha256 and size are noted, or what
            is known of weights that are many files. A file that is not there is noted as such. No absolute paths.
        seed: of the run.
    """
    record: dict[str, object] = {"seed": seed, "code": code_state(), "versions": versions()}
    for group, files in (("inputs", inputs), ("weights", weights)):
        record[group] = {name: _describe(what) for name, what in (files or {}).items()}
    return record


def write_json(path: str | Path, value: object) -> Path:
    """Write JSON aside and rename it, so that a killed run leaves the old file or the new one."""
    return atomic_write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def _describe(what: str | Path | Mapping[str, object]) -> dict[str, object]:
    if isinstance(what, Mapping):
        return without_paths(dict(what))
    return file_facts(what)


def file_facts(path: str | Path) -> dict[str, object]:
    """Name, size and SHA-256 of a file; {"file", "missing"} where there is none."""
    path = Path(path)
    if not path.is_file():
        return {"file": path.name, "missing": True}
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=10,
        check=True,
    )
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.machine()}, {os.cpu_count()} cores"
