"""What a run is made from, by content: SHA-256 of the input, of weights and of adapters. Where a file lies counts for
nothing, so that the same picture by another path goes on and a changed one under the same name does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from nerf2mesh.config import Config
from nerf2mesh.lora.io.files import located
from nerf2mesh.refine.source import source_file
from nerf2mesh.report import sha256_file
from nerf2mesh.types import Observations

VIEWS, PICTURE, MODEL = "observations", "input.image", "model/"
PRIOR_FILES = ("controlnet", "ip_adapter")
"""Settings of a prior that name a file or folder; its own weights are known once it is loaded, see `model_digest`."""
REFINE_FILES = ("paint", "mask", "camera")


def content(config: Config, observations: Observations) -> dict[str, str]:
    """The digest of the views and of each file or folder that a setting names, by the setting's name."""
    found = {VIEWS: views_digest(observations)}
    if "sha256" in observations.notes:
        found[PICTURE] = str(observations.notes["sha256"])
    found |= {name: place_digest(place) for name, place in _places(config)}
    return found


def named_file(config: Config, name: str) -> str:
    """What the setting `name` says, for messages; empty where it says nothing."""
    return {PICTURE: config.input.image or "", **dict(_places(config))}.get(name, "")


def views_digest(observations: Observations) -> str:
    """SHA-256 of everything in the observations that the run depends on (the notes are for the report)."""
    digest = hashlib.sha256(repr((observations.prompt, observations.negative_prompt)).encode())
    for view in observations.views:
        camera = view.camera
        about = (view.weight, view.domain, camera.width_px, camera.height_px, camera.orthographic)
        digest.update(repr((tuple(view.image.shape), *about)).encode())
        others = [part for part in (view.known, view.clearance) if part is not None]
        for part in (view.image, camera.camera_to_world, camera.focal_px, camera.principal_px, *others, *view.maps):
            digest.update(part.cpu().numpy().tobytes())
        for carving in view.carvings:
            digest.update(repr((carving.height, carving.behind)).encode() + carving.clearance.cpu().numpy().tobytes())
        if view.depth is not None:
            digest.update(repr((view.depth.kind, view.depth.along_axis)).encode())
    if (clip := observations.clip) is not None:
        digest.update(repr((tuple(clip.images.shape), clip.times_s, clip.cameras.orthographic)).encode())
        for part in (clip.images, clip.cameras.camera_to_world, clip.cameras.focal_px, clip.cameras.principal_px):
            digest.update(part.cpu().numpy().tobytes())
    return digest.hexdigest()


def place_digest(place: str) -> str:
    """SHA-256 of a file, or of a folder's file names and contents; what is not on disk (a hub id) stands for itself."""
    path = Path(place).expanduser()
    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        return place
    digest = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()


def model_setting(config: Config, name: str) -> str:
    """The setting behind the weights of "prior" or "second prior", and what it says."""
    prior, group = (
        (config.prior, "prior") if name == "prior" or not config.second else (config.second.prior, "second.prior")
    )
    part = "model" if prior.model else "weights" if prior.weights else "name"
    return f"{group}.{part}={getattr(prior, part)}"


def model_digest(about: Mapping[str, object]) -> str:
    """SHA-256 of the digests that a prior's `about` gives of its weights; "" where it gives none."""
    said = about.get("sha256")
    return "" if not said else hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _places(config: Config) -> Iterator[tuple[str, str]]:
    """Settings that name files or folders, with what they say."""
    priors = {"prior": config.prior} | ({"second.prior": config.second.prior} if config.second else {})
    for group, prior in priors.items():
        for name in PRIOR_FILES:
            if value := getattr(prior, name):
                yield f"{group}.{name}", value
    for i, adapter in enumerate(config.lora.adapters):
        path = Path(adapter).expanduser()
        yield f"lora.adapters[{i}]", str(located(path)) if path.exists() else adapter
    yield from ((f"input.elevations.{name}", path) for name, path in config.input.elevations.items())
    if config.distill.source:
        yield "distill.source", config.distill.source
    if config.start_from:
        yield "start_from", str(source_file(config.start_from))
    for name in REFINE_FILES:
        if value := getattr(config.refine, name):
            yield f"refine.{name}", value
