"""The held-out protocol at toy size: 200 objects of the shape grammar, the real jobs, a fraction of a second each.

Workers are told "tests.cluster.toy:run_job"; importing this module shrinks the protocol in that process, and nothing
else does. The figures mean nothing; that they are equal to the bit does.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from nerf2mesh.evaluate.protocols import cases, exact_cases, heldout, procedural_objects
from nerf2mesh.evaluate.protocols.scoring import Settings
from nerf2mesh.sweep import jobs
from nerf2mesh.sweep.queue import Payload
from nerf2mesh.sweep.worker import Context

RUN_JOB = "tests.cluster.toy:run_job"
N_OBJECTS = 200

heldout.SETTINGS = Settings(supersample=1, iou_resolution=32, surface_samples=300)
heldout.VIEW_PX = 32
heldout.ExactTruth = partial(exact_cases.ExactTruth, input_px=48)  # type: ignore[misc]
exact_cases.scene_mesh = partial(procedural_objects.scene_mesh, resolution=32)


def _held_out(protocol: str, look: str, cache: Path | None) -> heldout.HeldOut:
    return heldout.HeldOut(n=N_OBJECTS, look=look, cache=cache)


cases._held_out = _held_out


def run_job(payload: Payload, context: Context) -> Payload:
    """`sweep.jobs.run_job`, in a process where the protocol is small."""
    return jobs.run_job(payload, context)
