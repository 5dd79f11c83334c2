"""One run from a picture to a mesh: the run folder, the subject adapter, the loop, and what a run leaves behind.

Names load on first use, so that the workers of a sweep can listen for signals before they import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nerf2mesh.run.fit import run_fit
    from nerf2mesh.run.folder import RunFolder
    from nerf2mesh.run.preemption import REQUEUE, Preempted, between_steps, listening, stoppable
    from nerf2mesh.run.result import Result

__all__ = ["REQUEUE", "Preempted", "Result", "RunFolder", "between_steps", "listening", "run_fit", "stoppable"]
_FILES = {"Result": "result", "RunFolder": "folder", "run_fit": "fit"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'nerf2mesh.run' has no attribute {name!r}")
    value = getattr(import_module(f"nerf2mesh.run.{_FILES.get(name, 'preemption')}"), name)
    globals()[name] = value
    return value
