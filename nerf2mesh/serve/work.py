"""One job of the server, in a worker's process: a run as the plain command makes it."""

from __future__ import annotations

from pathlib import Path

from nerf2mesh.report import sha256_file
from nerf2mesh.sweep.queue import Payload
from nerf2mesh.sweep.worker import Context
from nerf2mesh.utils.foreign_yaml import check_overrides
from nerf2mesh.utils.names import inside
from nerf2mesh.utils.regular_file import read_json

FIT = "nerf2mesh.serve.work:fit_job"
ALWAYS = ("report.quiet=true", "overwrite=true")
"""A job's run folder is its own: what does not fit there is damaged, and the run starts anew."""


def fit_job(payload: Payload, context: Context) -> Payload:
    """Fits the job's picture in runs/ID/run. ValueError where the job was given up, or the run cannot be made."""
    from nerf2mesh.api import fit

    server: Path = context.folder.parents[1]
    stopped = read_json(server / "stopped" / f"{context.folder.name}.json", {})
    if stopped:
        raise ValueError(str(stopped.get("why", "cancelled")))
    check_overrides(payload["overrides"], str(server / "jobs.json"))
    picture = inside(server / "inputs", payload["picture"], str(server / "jobs.json"))
    if sha256_file(picture) != payload["sha256"]:
        raise ValueError("picture: expected the one that was sent, got a file that has changed; send it again")
    context.say("fitting")
    result = fit(picture, overrides=[*ALWAYS, *payload["overrides"]], output_dir=context.folder / "run")
    if result.failures:
        raise ValueError("; ".join(result.failures))
    return {"warnings": result.warnings}
