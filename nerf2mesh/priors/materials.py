"""What a configured prior is made of and under which licences, known before anything is loaded or downloaded."""

from __future__ import annotations

from pathlib import Path

from nerf2mesh.priors.builtin.prior import PACKAGED
from nerf2mesh.priors.builtin.weight_files import mesh_sources
from nerf2mesh.priors.config import BUILTIN, PriorConfig
from nerf2mesh.priors.foundation.card import card_licence
from nerf2mesh.priors.foundation.zoo import MODEL_ZOO
from nerf2mesh.rights import Material

OWN = "Apache-2.0"
"""Of the packaged weights, as their card says."""


def prior_materials(config: PriorConfig, group: str = "prior") -> list[Material]:
    """The prior, what is put on it, and for the built-in one the models that it was trained on.

    group: of the settings, "prior" or "second.prior". ValueError where `prior.weights` cannot be read.
    """
    if config.name == BUILTIN:
        return _builtin(config, group)
    known = MODEL_ZOO.get(config.name)
    place = Path(config.model).expanduser() if config.model else None
    licence = known.licence if known else card_licence(place) if place else ""
    name = config.name if known else place.name if place else config.name
    found = [Material("prior", name, licence, f"{group}.{'name' if known else 'model'}")]
    for part in ("controlnet", "ip_adapter"):
        if value := getattr(config, part):
            path = Path(value.rpartition(":")[0] or value if part == "ip_adapter" else value).expanduser()
            found.append(Material(part, path.name, card_licence(path), f"{group}.{part}"))
    return found


def _builtin(config: PriorConfig, group: str) -> list[Material]:
    path = Path(config.weights).expanduser() if config.weights else PACKAGED
    licence = OWN if config.weights is None else ""
    name = "builtin" if config.weights is None else path.name
    found = [Material("prior", name, licence, f"{group}.weights" if config.weights else f"{group}.name")]
    rows = [row for training in mesh_sources(path) for row in training if isinstance(row, dict)]
    for row in rows:
        source, stated, credit = (str(row.get(key) or "") for key in ("source", "licence", "credit"))
        stated = "" if stated == "not stated" else stated
        found.append(Material("training data of prior", source, stated, f"{group}.weights", credit))
    return found
