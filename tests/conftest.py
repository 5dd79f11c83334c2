"""For the whole run: shapes and types of arguments and results are checked at every call (jaxtyping with beartype).

N2M_TYPECHECK=0 leaves the checks out. Processes that tests start run without them.

Where pytest-xdist runs several processes they share the cores: one thread each, also in the processes that they start.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
"""Processes that tests start find the tests' stand-ins, which workers do not import from the current folder."""

CHECKED = ("types", "fields", "render", "inputs")
"""Rooms with shapes in their annotations whose tests pass with the checks.

Not in it: kernels and mesh, whose tests hand over bad arrays on purpose; evaluate.metrics, not yet gone through; rooms
whose tests hand over stand-ins (priors, lora, optimize, run, sweep, evaluate.protocols).
"""

gc.set_threshold(20_000, 10, 10)


def pytest_collection_finish() -> None:
    """The garbage collector leaves out what was imported, a million objects that stay: a fifth of the tests' time."""
    gc.collect()
    gc.freeze()


if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, which is not the case yet

if os.environ.get("N2M_TYPECHECK", "1") != "0":
    from jaxtyping import install_import_hook

    import tests.typecheck  # noqa: F401  (named below)

    install_import_hook([f"nerf2mesh.{room}" for room in CHECKED], "tests.typecheck.checker")
