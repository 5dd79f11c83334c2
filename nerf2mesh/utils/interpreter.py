"""The Python program to start helpers with."""

from __future__ import annotations

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
