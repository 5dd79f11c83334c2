"""Observations of the configured input; a few photographs without poses are placed by the built-in prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from nerf2mesh.config import Config
from nerf2mesh.inputs import awaits_azimuths, load_observations, load_unplaced
from nerf2mesh.priors.builtin.placement import Placement, placed_views
from nerf2mesh.priors.builtin.prior import BuiltinPrior
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.types import Observations

UNSURE = 0.5
"""A placement of less confidence is taken only where `input.photos.poses=prior` asks for it, and warned of."""


def observe(config: Config) -> Observations:
    """What `load_observations` returns for `config.input`, where azimuths are to be found with these put in.

    Notes: `photos` then also has azimuths_deg and their confidence.

    Raises:
        ValueError: as of `load_observations`; and where the azimuths are too uncertain, with the guess.
    """
    if not awaits_azimuths(config.input):
        return load_observations(config.input)
    observations = load_unplaced(config.input)
    weights = config.prior.weights if config.prior.name == "builtin" else None
    prior = BuiltinPrior.load(PriorConfig(weights=weights))
    placement = placed_views(prior, observations.views)
    if placement.confidence < UNSURE and config.input.photos.poses == "auto":
        guess = ",".join(f"{azimuth:g}" for azimuth in placement.azimuths_deg)
        raise ValueError(
            f"input.azimuths_deg: expected from where each of {len(observations.views)} photographs was taken, got "
            f"none, and the prior's guess [{guess}] has a confidence of {placement.confidence:.2f}; say "
            "input.azimuths_deg=[...], or input.photos.poses=prior to take the guess"
        )
    return with_placement(observations, placement, config.input.azimuth_deg)


def with_placement(observations: Observations, placement: Placement, first_deg: float) -> Observations:
    """Views turned to the found azimuths, the first to `first_deg`."""
    azimuths = [azimuth + first_deg for azimuth in placement.azimuths_deg]
    turned = zip(observations.views, azimuths, strict=True)
    views = tuple(replace(view, camera=view.camera.turned(azimuth)) for view, azimuth in turned)
    facts = dict(cast(Mapping[str, object], observations.notes["photos"]))
    said = ", ".join(f"{azimuth:g}" for azimuth in azimuths)
    facts |= {"layout": "placed by the prior", "azimuths_deg": azimuths, "azimuths": f"{said} degrees"}
    facts["confidence"] = round(placement.confidence, 2)
    warnings = [*cast(Sequence[str], observations.notes["warnings"])]
    if placement.confidence < UNSURE:
        warnings.append(
            f"the photographs were taken for {said} degrees with a confidence of {placement.confidence:.2f}; "
            "say input.azimuths_deg=[...] if you know better"
        )
    return replace(observations, views=views, notes=observations.notes | {"photos": facts, "warnings": warnings})
