"""Arrays of true renderings, kept in a folder: one file an object, named by what the truth depends on."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nerf2mesh.utils.atomic_write import atomic_write

Arrays = dict[str, np.ndarray]


def kept_arrays(cache: Path | None, name: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of the file `name`.npz in `cache`, made where it is missing or torn; always made without a cache."""
    if cache is None:
        return make()
    path = cache / f"{name}.npz"
    with contextlib.suppress(FileNotFoundError, zipfile.BadZipFile, ValueError, EOFError), np.load(path) as file:
        return {key: file[key] for key in file.files}
    made = make()
    _write(path, made)
    return made


def _write(path: Path, arrays: Arrays) -> None:
    """The whole file or none; two processes may make one file at once."""
    with atomic_write(path, concurrent=True) as part, part.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
