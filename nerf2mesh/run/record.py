"""The record that a run's files carry: what went in, under which licences, with which settings, and what people did.

It holds no path, no name of a person but the stated author, no name of a machine and no time of its own, so that the
same run gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nerf2mesh.config import Config
from nerf2mesh.lora.io.materials import adapter_summary
from nerf2mesh.priors.config import BUILTIN
from nerf2mesh.rights import Record
from nerf2mesh.rights.record import FORMAT, SOURCE_TYPES, material_rows
from nerf2mesh.run.rights import Rights
from nerf2mesh.run.settings import settings_digest
from nerf2mesh.types import Observations
from nerf2mesh.utils.without_paths import without_paths

PACKAGED_DATA = "procedural scenes, and models of others as listed under materials; no photographs"
OWN_DATA = "as the header of the weights says, listed under materials"
FOREIGN_DATA = "not known here; see the model's card"
HINTS = ("box", "points")


def run_record(config: Config, rights: Rights, origin: Mapping[str, Any], observations: Observations) -> Record:
    """The record of a run.

    origin: for provenance.json, as `report.provenance` makes it; with "changes" where a run went on with others.
    """
    versions: Mapping[str, str] = origin["versions"]
    commit = {key: origin["code"][key] for key in ("commit", "dirty") if key in origin["code"]}
    software = {"name": "nerf2mesh", "version": versions.get("nerf2mesh", "not installed"), **commit}
    digests = [str(row["sha256"]) for row in origin["inputs"].values() if "sha256" in row]
    materials = material_rows(rights.materials)
    for row in materials:
        if row["what"] == "input" and digests:
            row["sha256"] = digests[0]
    content: dict[str, Any] = {
        "format": FORMAT,
        "digital_source_type": source_type(config, observations),
        "use": config.use or "not stated",
        "materials": materials,
        "weights": origin["weights"],
        "software": software,
        "libraries": {name: versions[name] for name in ("python", "torch", "diffusers", "peft") if name in versions},
        "seed": config.seed,
        "settings_sha256": settings_digest(config),
        "people": people(config, origin.get("changes", []), origin.get("refinement", [])),
    }
    if not config.input.is_exact:
        content["training_data"] = training_data(config)
        content["adapters"] = adapters(config)
    return Record(without_paths(content), rights.signer)


def with_record(origin: Mapping[str, Any], record: Record | None) -> dict[str, Any]:
    """For provenance.json: what the run is made from, and the record that its files carry."""
    return {**origin, **({"record": json.loads(record.text())} if record else {})}


def source_type(config: Config, observations: Observations) -> str:
    """IPTC's digital source type of the mesh."""
    if config.input.is_exact:
        return SOURCE_TYPES["drawing alone"]
    if not observations.views:
        return SOURCE_TYPES["words"]
    alone = config.input.kind == "photos" and config.distill.weight == 0
    return SOURCE_TYPES["photographs alone" if alone else "picture and model"]


def training_data(config: Config) -> dict[str, str]:
    """What is known of what the priors were trained on, by their group of settings."""
    priors = {"prior": config.prior} | ({"second prior": config.second.prior} if config.second else {})
    builtin = {name: PACKAGED_DATA if prior.weights is None else OWN_DATA for name, prior in priors.items()}
    return {name: builtin[name] if prior.name == BUILTIN else FOREIGN_DATA for name, prior in priors.items()}


def adapters(config: Config) -> list[dict[str, object]]:
    """The user's adapters with their weights and manifests, and the subject adapter."""
    weights = config.lora.weights or [1.0] * len(config.lora.adapters)
    found: list[dict[str, object]] = [
        {"weight": float(weight), **adapter_summary(Path(path))}
        for path, weight in zip(config.lora.adapters, weights, strict=True)
    ]
    if config.lora.subject:
        found.append({"name": "subject", "trained_on": "the input itself"})
    return found


def people(config: Config, changes: Sequence[Any], refinement: Sequence[Any] = ()) -> dict[str, object]:
    """What a person decided beside the settings' defaults: hints in the picture, rounds of going on, and rounds of
    refinement, oldest first."""
    hints = [name for name in HINTS if getattr(config.input, name)]
    changed = [sorted(row["settings"]) for row in changes if isinstance(row, dict) and "settings" in row]
    rounds: dict[str, object] = {"refinement": list(refinement)} if refinement else {}
    return {"hints": hints, "rounds": len(changes), "settings_changed": changed, **rounds}
