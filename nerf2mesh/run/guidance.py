"""The diffusion priors of a run: loaded, with the user's adapters on the first, and conditioned on the input."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nerf2mesh.config import Config
from nerf2mesh.lora import LoraConfig, active, load_adapter, packaged_adapter, stack, style_name
from nerf2mesh.optimize import SecondPrior, guess_cameras, guess_views, reference_of
from nerf2mesh.priors import Condition, Prior, load_prior
from nerf2mesh.types import Observations

LEAST_SEEN = 0.05
"""A guess that is nowhere more opaque shows nothing to fit."""


@dataclass(frozen=True)
class Guidance:
    """The prior that steers the run, what it knows of the input, and the second prior where there is one."""

    prior: Prior
    condition: Condition
    second: SecondPrior | None

    @property
    def priors(self) -> dict[str, Prior]:
        """All priors by their names in provenance.json."""
        return {"prior": self.prior} | ({"second prior": self.second.prior} if self.second else {})


def load_guidance(config: Config, observations: Observations, device: str, own_prior: Prior | None = None) -> Guidance:
    """The priors that `config` names (or the caller's own), on `device`, conditioned on `observations`.

    Raises:
        ValueError: a file is missing or foreign, a setting does not fit the model, or the input lacks what the prior
            needs (a picture, a prompt).
    """
    if isinstance(own_prior, type):
        raise ValueError(f"prior: expected a prior, got the class {own_prior.__name__}; pass {own_prior.__name__}()")
    prior = own_prior or load_prior(config.prior, device)
    load_styles(prior, config.lora)
    condition = prior.condition(observations)
    if config.second is None:
        return Guidance(prior, condition, None)
    other = load_prior(config.second.prior, device)
    return Guidance(prior, condition, SecondPrior(other, other.condition(observations), config.second.distill))


def load_styles(prior: Prior, config: LoraConfig) -> None:
    """Puts the user's adapters on the prior, active with their weights; see `lora.load_adapter`."""
    weights = config.weights or [1.0] * len(config.adapters)
    for i, (path, weight) in enumerate(zip(config.adapters, weights, strict=True)):
        load_adapter(prior, style_name(i), path, text_weight=weight)
    if config.adapters:
        stack(prior.network, active(prior.network, config))


def with_guesses(config: Config, observations: Observations, guidance: Guidance) -> Observations:
    """The observations and, after them, the views that the prior guesses (`optimize.guessed_views`)."""
    c = config.optimize
    if not c.guessed_views:
        return observations
    cameras = guess_cameras(c.guessed_views, reference_of(observations), guidance.prior.image_size)
    guessed = guess_views(
        guidance.prior, guidance.condition, config.distill, cameras, weight=c.guessed_weight, seed=config.seed
    )
    seen = [view for view in guessed if bool((view.image[..., 3] > LEAST_SEEN).any())]
    return replace(observations, views=(*observations.views, *seen))


def with_adapter_of_kind(config: Config, observations: Observations, *, own_prior: bool = False) -> Config:
    """The configuration with the adapter for the first view's kind behind `lora.adapters`: that of `lora.by_domain`,
    else where no adapter is named and the prior is the packaged one the one that comes with the package."""
    lora = config.lora
    kind = observations.views[0].domain if observations.views else ""
    path = lora.by_domain.get(kind)
    packaged = config.prior.name == "builtin" and config.prior.weights is None and not own_prior
    if path is None and lora.packaged and packaged and not lora.adapters:
        path = packaged_adapter(kind)
    if path is None or path in lora.adapters:
        return config
    weights = [*lora.weights, 1.0] if lora.weights else []
    return replace(config, lora=replace(lora, adapters=[*lora.adapters, path], weights=weights))
