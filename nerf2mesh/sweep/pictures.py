"""Many pictures, a run for each: `nerf2mesh FOLDER`, `nerf2mesh 'glob(PATTERN)'`, `nerf2mesh A.png B.png`.

The pictures are the jobs of a queue, so that one that cannot be fitted, or that takes its process along, stops no
other. ROOT/NAME/ is the run folder of each picture, ROOT/.sweep/DIGEST/ the queue of these settings.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nerf2mesh.report import sha256_file
from nerf2mesh.sweep.bench import make_launcher
from nerf2mesh.sweep.config import LaunchConfig
from nerf2mesh.sweep.queue import Payload, Queue, job_id
from nerf2mesh.sweep.supervise import supervise
from nerf2mesh.sweep.worker import Context, Rules
from nerf2mesh.utils.foreign_yaml import check_overrides
from nerf2mesh.utils.names import inside

FIT_PICTURE = "nerf2mesh.sweep.pictures:fit_picture"
MAX_LOSSES = 3
"""A picture that took so many processes with it (out of memory) is given up."""


@dataclass(frozen=True)
class Fitted:
    """What became of the pictures: meshes by picture, and the reason for each that has none."""

    meshes: dict[str, Path]
    failed: dict[str, str]


def fit_pictures(pictures: Sequence[str], settings: Sequence[str], root: Path, launch: LaunchConfig) -> Fitted | None:
    """Fits every picture with the same settings; None where the workers were only queued (launch.wait=false).

    The same call goes on: pictures whose mesh is there are not fitted again, those that failed are.

    Raises:
        ValueError: the settings name a depth or normal map, which belongs to one picture.
    """
    maps = [setting for setting in settings if setting.lstrip("+").startswith(("input.depth=", "input.normal="))]
    if maps and len(pictures) > 1:
        name = maps[0].lstrip("+").partition("=")[0]
        raise ValueError(f"{name}: expected one picture beside a map, got {len(pictures)}; run them one by one")
    queue = _queue(pictures, settings, root, launch)
    if not queue.is_over():
        workers = min(launch.workers, len(queue.jobs))
        launcher = make_launcher(launch, queue.folder, workers, FIT_PICTURE)
        if not launch.wait:
            launcher.start(workers)
            return None
        supervise(queue, launcher, workers, lease_s=launch.lease_s, say_every_s=launch.say_every_s)
    meshes, failed = {}, {}
    for job, payload in _jobs(pictures, settings).items():
        mesh = root / payload["name"] / "mesh.glb"
        if queue.jobs[job].status == "done" and mesh.is_file():
            meshes[payload["image"]] = mesh
        else:
            failed[payload["image"]] = queue.jobs[job].why or "its mesh is missing"
    return Fitted(meshes, failed)


def fit_picture(payload: Payload, context: Context) -> Payload:
    """The job of one picture: a run as the plain command makes it."""
    from nerf2mesh.api import fit

    jobs = context.folder.parents[1] / "jobs.json"
    check_overrides(payload["overrides"], str(jobs))
    folder = inside(context.folder.parents[3], payload["name"], str(jobs))
    if sha256_file(payload["image"]) != payload["sha256"]:
        raise ValueError(f"input.image: expected {payload['image']} as it was, got a changed file; start again")
    context.say("fitting")
    result = fit(payload["image"], overrides=["report.quiet=true", *payload["overrides"]], output_dir=folder)
    if result.failures:
        raise ValueError("; ".join(result.failures))
    return {"warnings": result.warnings}


def folder_names(pictures: Sequence[str]) -> list[str]:
    """A name for each picture's run folder: its own without the ending, and more of its path where two are alike."""
    kinds = (lambda p: p.stem, lambda p: p.name, lambda p: f"{p.parent.name}-{p.name}")
    chosen = [[re.sub(r"^\.+", "", kind(Path(p).absolute())) or "picture" for p in pictures] for kind in kinds]
    chosen.append([f"{k}-{name}" for k, name in enumerate(chosen[-1])])
    counts = [Counter(map(str.casefold, names)) for names in chosen]
    return [
        next(names[k] for names, count in zip(chosen, counts, strict=True) if count[names[k].casefold()] == 1)
        for k in range(len(pictures))
    ]


def _queue(pictures: Sequence[str], settings: Sequence[str], root: Path, launch: LaunchConfig) -> Queue:
    """The queue of these settings, where what is damaged, has failed, or whose mesh was removed, waits again."""
    digest = hashlib.sha256("\0".join(settings).encode()).hexdigest()[:8]
    folder, jobs = root / ".sweep" / digest, _jobs(pictures, settings)
    queue = Queue.create(folder, jobs, retries=0, max_losses=MAX_LOSSES)
    Rules(retries=0, max_losses=MAX_LOSSES, lease_s=launch.lease_s).save(folder)
    for job, payload in jobs.items():
        if not (root / payload["name"] / "mesh.glb").is_file():
            (folder / "results" / f"{job}.json").unlink(missing_ok=True)
    queue.remake_damaged()
    queue.retry_failed()
    return queue


def _jobs(pictures: Sequence[str], settings: Sequence[str]) -> dict[str, Payload]:
    jobs = {}
    for picture, name in zip(pictures, folder_names(pictures), strict=True):
        payload = {"kind": "picture", "image": str(Path(picture).absolute()), "name": name}
        payload |= {"sha256": sha256_file(picture), "overrides": list(settings)}
        jobs[job_id("picture", name, payload=payload)] = payload
    return jobs
