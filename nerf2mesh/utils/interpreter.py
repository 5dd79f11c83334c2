"""The Python program to start helpers with, and what they may import."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def interpreter() -> str:
    """`sys.executable`; where Python is embedded and that is empty, the program of the same installation.

    Raises:
        OSError: there is none.
    """
    if sys.executable:
        return sys.executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (sys.exec_prefix, sys.base_exec_prefix):
        for name in (f"bin/{version}", "bin/python3", "python.exe"):
            if (Path(folder) / name).is_file():
                return str(Path(folder) / name)
    found = shutil.which(version)
    if found is None:
        raise OSError(f"no program {version} found beside the embedded Python")
    return found


def without_current_folder(module: str) -> list[str]:
    """The command that runs MODULE's `main`; `python -m MODULE` would import from the current folder first.

    Python's own switch against that, -P, came with version 3.11.
    """
    code = f"import sys; sys.path[:] = [p for p in sys.path if p]; from {module} import main; main()"
    return [interpreter(), "-c", code]


def forget_current_folder() -> None:
    """Takes off sys.path the folder that `python -m` and `python -c` put in front, unless the package is there."""
    home = str(Path(__file__).resolve().parents[2])
    ours = [""] + ([os.getcwd()] if "-m" in sys.orig_argv else [])
    if sys.path and sys.path[0] in ours and os.getcwd() != home:
        del sys.path[0]
