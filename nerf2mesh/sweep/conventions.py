"""The finished fits of a sweep measured by every convention: no fit is run, what was measured is kept.

FOLDER/conventions/ID.json holds what a job's mesh scored, under a digest of the mesh and of the code that measures,
so that the command goes on where it was stopped and measures again what has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from nerf2mesh.evaluate.protocols.baselines import background, sphere
from nerf2mesh.evaluate.protocols.convention_study import study
from nerf2mesh.evaluate.protocols.score_cache import code_digest
from nerf2mesh.evaluate.protocols.scoring import Case, Prediction
from nerf2mesh.evaluate.tables.convention_table import convention_report, records_of
from nerf2mesh.evaluate.tables.results import Record
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.sweep.jobs import case_of
from nerf2mesh.sweep.queue import Payload, Queue
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.regular_file import read_json

Scores = dict[str, dict[str, float]]
BASELINE = "sphere"


def convention_tables(folder: Path, *, method: str | None = None, count: int = 0) -> str:
    """Markdown of the sweep in `folder`, also written as conventions.md and conventions.json there.

    method: only this one of the sweep's; count: only the first so many objects, 0 for all. ValueError where no fit is
    done.
    """
    queue = Queue(folder)
    queue.refresh()
    jobs = [job for job, payload in queue.payloads.items() if _wanted(payload, method) and queue.result(job)]
    names = list(dict.fromkeys(queue.payloads[job]["object"] for job in jobs))
    names = names[: count or None]
    if not names:
        raise ValueError(
            f"conventions: expected a sweep with fits of {method or 'any method'} that are done, got {folder} without; "
            "run it first"
        )
    records: list[Record] = []
    for name in names:
        for job in (job for job in jobs if queue.payloads[job]["object"] == name):
            records += _of_job(queue, job)
        records += _of_sphere(queue, next(job for job in jobs if queue.payloads[job]["object"] == name))
    methods = list(dict.fromkeys(queue.payloads[job]["method"] for job in jobs))
    text = convention_report(records, [*methods, BASELINE], BASELINE)
    atomic_write_text(queue.folder / "conventions.json", json.dumps([asdict(r) for r in records], indent=1) + "\n")
    atomic_write_text(queue.folder / "conventions.md", text)
    return text


def _wanted(payload: Payload, method: str | None) -> bool:
    return payload["kind"] == "fit" and payload["track"] != "text" and method in (None, payload["method"])


def _of_job(queue: Queue, job: str) -> list[Record]:
    """The records of a fit; a fit without a mesh file counts as a mesh without surface."""
    payload, path = queue.payloads[job], queue.folder / "runs" / job / "run" / "mesh.glb"
    digest = hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()

    def measured() -> Scores:
        case = _case(queue, payload)
        return study(case, TriangleMesh.from_file(path) if path.is_file() else _mesh_of(background, case))

    found = _kept(queue.folder, job, digest, measured)
    return records_of(payload["method"], payload["object"], payload["seed"], found)


def _of_sphere(queue: Queue, job: str) -> list[Record]:
    payload = queue.payloads[job]

    def measured() -> Scores:
        case = _case(queue, payload)
        return study(case, _mesh_of(sphere, case))

    found = _kept(queue.folder, f"{BASELINE}-{payload['object']}", "", measured)
    return records_of(BASELINE, payload["object"], 0, found)


def _mesh_of(baseline: Callable[[Case], Prediction], case: Case) -> TriangleMesh:
    mesh = baseline(case).mesh
    assert mesh is not None, "a baseline with a shape"
    return mesh


def _case(queue: Queue, payload: Payload) -> Case:
    """The case of a job. ValueError where no true shape is known."""
    case = case_of(payload, queue.folder)
    if not isinstance(case, Case) or case.mesh is None:
        raise ValueError(
            f"conventions: expected objects with a true shape, got protocol {payload['protocol']}; take another sweep"
        )
    return case


def _kept(folder: Path, name: str, digest: str, make: Callable[[], Scores]) -> Scores:
    """The scores kept under `name` if they are of this mesh by this code, else made and kept."""
    path = folder / "conventions" / f"{name}.json"
    key = hashlib.sha256(f"{code_digest()} {digest}".encode()).hexdigest()
    kept = read_json(path, {})
    if kept.get("key") == key:
        return kept["scores"]
    scores = make()
    atomic_write_text(path, json.dumps({"key": key, "scores": scores}) + "\n")
    return scores
