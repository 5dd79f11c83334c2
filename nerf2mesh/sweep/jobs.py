"""The benchmark's jobs: fit one object and score it, or score the trivial baselines on one object.

A job's payload is plain JSON, so a queue can be read by eye and by any later version. Its result is
{"records": [Record as a dict]}, and where a protocol knows more of an object, "about": that. Pictures of the compared
views lie in the job's folder, VIEWS/METHOD.png.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.config import Config, load_config
from nerf2mesh.evaluate.metrics.perceptual import Judges
from nerf2mesh.evaluate.metrics.text_metrics import TextCase
from nerf2mesh.evaluate.protocols.baselines import baselines_of
from nerf2mesh.evaluate.protocols.cases import load_case
from nerf2mesh.evaluate.protocols.score_cache import case_digest, kept_scores
from nerf2mesh.evaluate.protocols.scoring import Case, Method, Prediction, as_prediction
from nerf2mesh.evaluate.tables.pictures import write_png, write_sheet, write_turntable
from nerf2mesh.evaluate.tables.results import run_case
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.report import sha256_file
from nerf2mesh.sweep.queue import Payload
from nerf2mesh.sweep.worker import Context
from nerf2mesh.types import Camera, Observations
from nerf2mesh.utils.foreign_yaml import check_overrides

RUN_JOB = "nerf2mesh.sweep.jobs:run_job"
LONGEST_NAME = 80
"""Letters of a picture's name, since a file system takes 255 bytes: a fit's job draws one method alone."""
VIEWS, TURNTABLES, TRUTH = "views", "turntables", "truth"
"""Folders: of a job, its pictures, and in it the strips of frames; of a sweep, what its jobs share of the objects."""
GIVEN = "given.png"
"""In a job's turntables: the picture that a method was given."""
ONLY_THE_MESH = ("report.quiet=true", "report.turntable_frames=0", "report.html=false")
OWN_FOLDER = ("overwrite=true",)
"""A job's run folder is its own: what does not fit there is damaged, and the run starts anew."""


def run_job(payload: Payload, context: Context) -> Payload:
    """One job of a benchmark; what a method raises is raised, so that the queue tries it again."""
    context.say("preparing the object")
    case = case_of(payload, context.folder.parents[1])
    act = _baselines if payload["kind"] == "baselines" else _fit
    about = dict(case.about) if isinstance(case, Case) else {}
    return {"records": act(case, payload, context)} | ({"about": about} if about else {})


def case_of(payload: Payload, sweep: Path) -> Case | TextCase:
    """The object of a job; what takes long to render is kept in the sweep's folder."""
    where = {key: payload[key] for key in ("data_dir", "dataset", "look") if key in payload}
    return load_case(payload["protocol"], payload["track"], payload["object"], cache=truth_folder(sweep), **where)


def truth_folder(sweep: Path) -> Path:
    """Where true renderings and the scores of trivial results are kept: the sweep's own folder, or N2M_TRUTH_DIR,
    which any number of sweeps may share."""
    return Path(os.environ.get("N2M_TRUTH_DIR") or sweep / TRUTH)


class LibraryMethod:
    """The library as a method: the exported mesh is read back, as a user would get it. Keeps what it raised."""

    def __init__(self, overrides: Sequence[str], folder: Path) -> None:
        self.overrides, self.folder = list(overrides), folder
        self.error: Exception | None = None
        self.prediction: Prediction | None = None

    def __call__(self, *given: Any) -> Prediction:
        """Given a picture [h, w, 4] and its camera, a tuple of Views, or a prompt."""
        try:
            self.prediction = self._fitted(*given)
        except Exception as error:
            self.error = error
            raise
        return self.prediction

    def _fitted(self, *given: Any) -> Prediction:
        """`_fit`, from the start where what an attempt before has left cannot be used; that is kept in run.refused."""
        try:
            return self._fit(*given)
        except ValueError as error:
            if not str(error).startswith("checkpoint: ") or not self.folder.is_dir():
                raise
            refused = self.folder.with_name(f"{self.folder.name}.refused")
            shutil.rmtree(refused, ignore_errors=True)
            self.folder.rename(refused)
            return self._fit(*given)

    def _fit(self, *given: Any) -> Prediction:
        from nerf2mesh.api import fit

        if isinstance(given[0], str):
            config = self._with_prompt(given[0])
            result = fit(config=config, output_dir=self.folder)
        elif len(given) == 1:
            result = fit(observations=Observations(given[0]), overrides=self.overrides, output_dir=self.folder)
        else:
            image, settings = self._picture(*given)
            result = fit(image, overrides=[*settings, *self.overrides], output_dir=self.folder)
        exported = self.folder / "mesh.glb"
        mesh = TriangleMesh.from_file(exported) if exported.exists() else result.mesh
        return Prediction(mesh=mesh, render=result.render)

    def _with_prompt(self, prompt: str) -> Config:
        """The configuration with the prompt put in: it may hold what Hydra's grammar would not let through."""
        config = load_config(self.overrides)
        return replace(config, input=replace(config.input, image=None, prompt=prompt))

    def _picture(self, image: Float[Tensor, "h w 4"], camera: Camera) -> tuple[Path, list[str]]:
        """The picture as a file, and the settings that say how it was taken: the method may not move or scale it."""
        path = self.folder.parent / "input.png"
        write_png(path, image)
        fov_deg = float(2 * torch.rad2deg(torch.atan(0.5 * camera.height_px / camera.focal_px[1])))
        numbers = {
            "elevation_deg": float(camera.elevation_deg),
            "azimuth_deg": float(camera.azimuth_deg),
            "distance": float(camera.position.norm()),
            "fov_deg": fov_deg,
        }
        taken = [f"input.{key}={round(value, 4)}" for key, value in numbers.items()]
        return path, [*taken, "input.foreground=alpha", "input.recenter=false"]


def _fit(case: Case | TextCase, payload: Payload, context: Context) -> list[Payload]:
    context.say("fitting")
    check_overrides(payload["overrides"], str(context.folder.parents[1] / "jobs.json"))
    overrides = [*ONLY_THE_MESH, *OWN_FOLDER, *payload["overrides"], f"seed={payload['seed']}"]
    method = LibraryMethod(overrides, context.folder / "run")
    record = run_case(payload["method"], method, case, seed=payload["seed"], judge=_judge(payload))
    if method.error is not None:
        raise method.error
    if not record.failed:
        _sheet(context.folder, payload["method"], case, method.prediction)
    return [asdict(record)]


def _baselines(case: Case | TextCase, payload: Payload, context: Context) -> list[Payload]:
    records, judge, cache = [], _judge(payload), truth_folder(context.folder.parents[1])
    content = case_digest(case) if isinstance(case, Case) else ""
    weights = judge_digests(json.dumps(payload["weights"]))
    for name, baseline in baselines_of(case).items():
        context.say(name)
        scored = partial(_scored, name, baseline, case, judge)
        record = kept_scores(cache, content, name, weights, scored) if content else scored()
        records.append(record | {"object": case.name})  # equal content may have another name
        _sheet(context.folder, name, case, baseline(case))
    if isinstance(case, Case):
        _truth(context.folder, case)
    return records


def _scored(name: str, baseline: Method, case: Case | TextCase, judge: Judges | None) -> Payload:
    return asdict(run_case(name, baseline, case, is_baseline=True, judge=judge))


def _judge(payload: Payload) -> Judges | None:
    """LPIPS and CLIP, where the user gave weights; read once in a worker's life."""
    return _judges(json.dumps(payload["weights"])) if payload["weights"] else None


@lru_cache(maxsize=1)
def _judges(weights: str) -> Judges:
    return Judges(json.loads(weights))


@lru_cache(maxsize=1)
def judge_digests(weights: str) -> dict[str, list[str]]:
    """SHA-256 of the files that judge, by metric; of a folder, of all files below it.

    weights: JSON of a path or of several for each metric.
    """
    found = {}
    for key, given in json.loads(weights).items():
        paths = [Path(path) for path in ([given] if isinstance(given, str) else given)]
        files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        found[key] = [sha256_file(file) for file in files if file.is_file()]
    return found


def _sheet(folder: Path, method: str, case: Case | TextCase, prediction: Any) -> None:
    """The compared views of a result, and of a mesh its turntable."""
    name, found = method.replace("/", "-")[:LONGEST_NAME], as_prediction(prediction)
    write_sheet(folder / VIEWS / f"{name}.png", case, found)
    if found.mesh is not None:
        _turntable(folder, name, case, found.mesh)


def _turntable(folder: Path, name: str, case: Case | TextCase, mesh: TriangleMesh) -> None:
    frame = case.frame if isinstance(case, TextCase) else None
    write_turntable(folder / VIEWS / TURNTABLES / f"{name}.jpg", frame(mesh) if frame else mesh, case.settings)


def _truth(folder: Path, case: Case) -> None:
    """The true views, the true shape's turntable where there is one, and the given picture on the background."""
    _sheet(folder, "truth", case, Prediction(render=lambda _: case.truth))
    if case.mesh is not None:
        _turntable(folder, "truth", case, case.mesh)
    color, alpha = case.image[..., :3], case.image[..., 3:]
    write_png(folder / VIEWS / TURNTABLES / GIVEN, color * alpha + (1 - alpha) * case.settings.background)
