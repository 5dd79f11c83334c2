"""Tests of the native operators. Files named test_cuda* are left out where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_cuda*.py"]


@pytest.fixture(autouse=True)
def _seed_and_threads() -> Iterator[None]:
    """Every test starts from one seed; a test that changes the number of threads leaves no trace."""
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
