"""The lock of a run folder, also where its file belongs to another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nerf2mesh.utils.locks import InUse, alone_in
from tests.utils.test_denied import as_somebody, place

__all__ = ["place"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be two users")
def test_a_lock_of_another_user_still_locks(place: Path) -> None:
    """Without the right to write to it, the lock is taken all the same; without the right to read it, refused."""
    os.chmod(place, 0o777)
    with alone_in(place), as_somebody(), pytest.raises(InUse, match="in use by another process"), alone_in(place):
        pass
    os.chmod(place / ".lock", 0o644)
    with as_somebody(), alone_in(place), pytest.raises(InUse), alone_in(place):
        pass
    os.chmod(place / ".lock", 0o600)
    with as_somebody(), pytest.raises(ValueError, match="expected a lock that this user may read"), alone_in(place):
        pass
