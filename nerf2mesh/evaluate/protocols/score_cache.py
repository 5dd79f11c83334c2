"""Scores of trivial results, kept by content: what the case holds, which result, and the code that measures.

The folder is the one of `truth_cache`. A score is made anew once a true pixel, a setting, the weights of a judge, a
source file of what measures or the compiled library has changed; equal content gives the same file, whatever the object
is called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nerf2mesh.evaluate.protocols.scoring import Case
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.regular_file import read_json

MEASURING = (
    *("evaluate/metrics", "evaluate/protocols", "render", "mesh/triangle_mesh.py", "mesh/shapes.py", "mesh/vectors.py"),
    *("types.py", "kernels/libn2m_cpu.so"),
)
"""Files and folders of the package whose change makes scores anew; the library may be missing."""


def kept_scores(
    cache: Path | None, content: str, result: str, judge: Mapping[str, Any], make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """The JSON of `make()`, from the cache where the same result of the same case was scored before.

    content: `case_digest` of the case. judge: the networks that judge, by the digests of their files. A record that
    names a failure is never kept.
    """
    if cache is None:
        return make()
    digest = hashlib.sha256(json.dumps([content, result, judge, code_digest()]).encode())
    path = cache / f"score-{digest.hexdigest()[:24]}.json"
    if kept := read_json(path, {}):
        return kept
    made = make()
    if not made.get("failed"):
        atomic_write_text(path, json.dumps(made) + "\n", concurrent=True)
    return made


def case_digest(case: Case) -> str:
    """SHA-256 of all that a case holds: pictures, cameras, the true mesh, settings."""
    digest = hashlib.sha256()
    for part in (case.image, case.camera, case.novel_cameras, case.truth, case.mesh, case.solid, case.regions):
        _add(digest, part)
    digest.update(repr(case.settings).encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of what draws and measures."""
    digest, package = hashlib.sha256(), Path(__file__).parents[2]
    for place in MEASURING:
        files = sorted((package / place).rglob("*.py")) if (package / place).is_dir() else [package / place]
        for file in (file for file in files if file.is_file()):
            digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def _add(digest: Any, value: object) -> None:
    """Adds the bytes of arrays, of dataclasses field by field, and of plain values."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        digest.update(repr((value.shape, value.dtype)).encode() + np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value):
        for item in fields(value):
            _add(digest, getattr(value, item.name))
    elif isinstance(value, Mapping):
        _add(digest, sorted(value.items()))
    elif isinstance(value, tuple | list):
        for item in value:
            _add(digest, item)
    else:
        digest.update(repr(value).encode())
