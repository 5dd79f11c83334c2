"""Errors that the user can put right, each as one line."""

from __future__ import annotations

import errno
import os
import re

from nerf2mesh.utils.denied import DENIED, why_denied

NO_SPACE = "no space is left for {}; free some, then give the same command again: it resumes"
PYPI_NAMES = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "hydra": "hydra-core",
    "mcubes": "PyMCubes",
    "skimage": "scikit-image",
}


def plain_message(error: BaseException) -> str | None:
    """One line for an error that the user can put right, None for our own mistakes."""
    if isinstance(error, OSError):
        return _file_message(error)
    if isinstance(error, ValueError):
        return " ".join(str(error).split())
    if isinstance(error, ImportError) and error.name and not error.name.startswith("nerf2mesh"):
        package = _on_pypi(error.name)
        remedy = f"pip install {package}" if package else "install it, or leave out the setting that asks for it"
        return f"the package {error.name} is not installed; {remedy}"
    refused = re.search(r"I/O error.*\(os error (\d+)\)", str(error))  # what safetensors makes of the system's errors
    if refused:
        return _file_message(OSError(int(refused.group(1)), os.strerror(int(refused.group(1)))))
    if isinstance(error, RuntimeError) and "PytorchStreamWriter" in str(error):
        return NO_SPACE.format("a checkpoint")  # torch.save does not pass the system's error on
    no_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if no_memory or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)):  # torch's, on a CPU
        wanted = re.search(r"tried to allocate (\d+) bytes", str(error))
        size = f" (for {int(wanted.group(1)) / 1e9:,.1f} GB)" if wanted else ""
        return f"out of memory{size}; lower renderer.memory_budget_bytes or take preset=preview"
    return None


def _on_pypi(module: str) -> str | None:
    """The name under which PyPI has a module's package, where this package or one of its extras asks for that."""
    from importlib.metadata import PackageNotFoundError, requires

    top = module.split(".")[0]
    name = PYPI_NAMES.get(top, top.replace("_", "-"))
    try:
        asked = {re.split(r"[^\w.-]", text)[0].lower().replace("_", "-") for text in requires("nerf2mesh") or ()}
    except PackageNotFoundError:  # a checkout that is not installed
        asked = set()
    return name if top in PYPI_NAMES or name.lower() in asked else None


def _file_message(error: OSError) -> str | None:
    """A file or folder that cannot be used; what was written before is kept."""
    where = error.filename or "the output folder"
    if error.errno in DENIED:
        known = f"this user may not use {where} ({error.strerror}); choose another output_dir, or change its rights"
        return f"{why_denied(error)}, or name another path" if error.filename else known
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NO_SPACE.format(where)
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG):
        return f"{where}: {error.strerror}; check the path or choose another output_dir"
    return None
