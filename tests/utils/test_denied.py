"""A refusal names what forbids it: the folder on the way, the folder that is written, the file that is read ..."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nerf2mesh.utils.denied import why_denied

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights as POSIX has them")


@contextmanager
def as_somebody() -> Iterator[None]:
    """Not as root, whom no rights bind."""
    root = os.geteuid() == 0
    os.seteuid(65534 if root else os.geteuid())
    try:
        yield
    finally:
        os.seteuid(0 if root else os.geteuid())


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that anybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="n2m_denied_") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def refusal(path: Path, flags: int) -> str:
    with as_somebody():
        with pytest.raises(PermissionError) as refused:
            os.close(os.open(path, flags, 0o666))
        return why_denied(refused.value)


def test_each_cause_has_its_words(place: Path) -> None:
    (place / "closed").mkdir(mode=0o700)
    (place / "closed/deep").mkdir()
    (place / "secret.png").touch(mode=0o600)
    (place / "shown.png").touch(mode=0o644)
    for path in ("closed", "secret.png"):
        os.chmod(place / path, 0o000)
    os.chmod(place / "shown.png", 0o444)
    os.chmod(place, 0o555)
    try:
        said = {
            "enter": refusal(place / "closed/deep/mesh.glb", os.O_RDONLY),
            "read": refusal(place / "secret.png", os.O_RDONLY),
            "write": refusal(place / "shown.png", os.O_WRONLY),
            "make": refusal(place / "fresh.glb", os.O_WRONLY | os.O_CREAT),
        }
    finally:
        os.chmod(place, 0o755)
        os.chmod(place / "closed", 0o700)
    assert f"this user may not enter {place / 'closed'} (d---------" in said["enter"]
    assert said["read"].startswith(f"this user may not read {place / 'secret.png'} (----------")
    assert said["write"].startswith(f"this user may not write to {place / 'shown.png'} (-r--r--r--")
    assert f"cannot be made: this user may not write in {place} (dr-xr-xr-x" in said["make"]
    assert len(set(said.values())) == 4


def test_causes_that_rights_do_not_tell(tmp_path: Path) -> None:
    assert "read-only file system" in why_denied(OSError(errno.EROFS, "Read-only file system", str(tmp_path)))
    assert "although its rights allow it" in why_denied(PermissionError(errno.EPERM, "no", str(tmp_path)))
