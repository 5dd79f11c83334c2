"""The held-out protocol at toy size: 200 objects of the shape grammar, the real jobs, a fraction of a second each.

Workers are told "tests.cluster.toy:run_job"; importing this module shrinks the protocol in that process, and nothing
else does. Truth is drawn from coarse meshes. The figures mean nothing; that they are equal to the bit does.
"""

from __future__ import annotations

from pathlib import Path

from nerf2mesh.evaluate.metrics import visibility
from nerf2mesh.evaluate.protocols import cases
from nerf2mesh.evaluate.protocols.canonical import canonical_frame, make_case
from nerf2mesh.evaluate.protocols.heldout import HeldOut
from nerf2mesh.evaluate.protocols.procedural_objects import scene_mesh
from nerf2mesh.evaluate.protocols.scoring import Case, Settings
from nerf2mesh.sweep import jobs
from nerf2mesh.sweep.queue import Payload
from nerf2mesh.sweep.worker import Context

RUN_JOB = "tests.cluster.toy:run_job"
N_OBJECTS = 200
SMALL = Settings(supersample=1, iou_resolution=24, surface_samples=300)


class Toy(HeldOut):
    """The same scenes, small."""

    def case(self, name: str) -> Case:
        """The case of one name, drawn anew on every call."""
        mesh = canonical_frame(scene_mesh(self.scene(name), 24))
        return make_case(name, mesh, size_px=32, settings=SMALL)


def held_out(protocol: str, look: str, cache: Path | None) -> HeldOut:
    """In place of `cases._held_out`."""
    return Toy(n=N_OBJECTS, look=look, cache=cache)


cases._held_out = held_out
visibility.MAP_PX = 64


def run_job(payload: Payload, context: Context) -> Payload:
    """`sweep.jobs.run_job`, in a process where the protocol is small."""
    return jobs.run_job(payload, context)
