"""The fuzz targets of files run, find nothing for a while, and leave the process as it was."""

from __future__ import annotations

import resource
import signal
from types import ModuleType

import pytest

from tests.fuzz import items, lora, meshes, pictures


@pytest.mark.parametrize("target", [items, lora, meshes, pictures])
def test_a_while_of_damage(target: ModuleType) -> None:
    before = signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_DATA)
    counts = target.main(0.3, 11)
    assert counts["cases"] > 0 and counts["tracebacks"] == counts["hangs"] == 0
    assert (signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_DATA)) == before
