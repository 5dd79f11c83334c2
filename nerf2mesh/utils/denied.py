"""Why the system refuses a file or a folder to this user, in words that say what to change."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def why_denied(error: OSError) -> str:
    """One line for an error of DENIED that names a file: what was looked at first forbids it, and the remedy."""
    path = os.path.abspath(os.fsdecode(error.filename))
    if error.errno == errno.EROFS:
        return f"{path} lies on a read-only file system; mount it to be written"
    for folder in reversed(Path(path).parents):
        if os.path.isdir(folder) and not _may(folder, os.X_OK):
            return f"{path} cannot be reached: this user may not enter {_rights(folder)}; change its rights"
    if not os.path.lexists(path):
        folder = next(str(parent) for parent in Path(path).parents if os.path.isdir(parent))
        if not _may(folder, os.W_OK):
            return f"{path} cannot be made: this user may not write in {_rights(folder)}; change its rights"
    elif not _may(path, os.R_OK):
        return f"this user may not read {_rights(path)}; change its rights"
    elif not _may(path, os.W_OK):
        return f"this user may not write to {_rights(path)}; change its rights"
    elif os.path.isdir(path) and not _may(path, os.X_OK):
        return f"this user may not enter {_rights(path)}; change its rights"
    elif not _may(os.path.dirname(path), os.W_OK):
        return (
            f"{path} cannot be replaced: this user may not write in {_rights(os.path.dirname(path))}; change its rights"
        )
    return (
        f"the system refuses {path} ({error.strerror}) although its rights allow it; look at its attributes (lsattr) "
        "and at what confines this process (a container, SELinux, AppArmor)"
    )


def _may(path: str | Path, mode: int) -> bool:
    """Whether the user as whom the process acts has a right."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _rights(path: str | Path) -> str:
    """The path with its rights and its owner, as ls shows them."""
    about = os.stat(path)
    return f"{path} ({stat.filemode(about.st_mode)}, of {_user(about.st_uid)})"


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"user {number}"
