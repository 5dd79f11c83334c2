"""From a PriorConfig to the prior."""

from __future__ import annotations

import importlib

from nerf2mesh.priors.base import Prior
from nerf2mesh.priors.builtin.prior import BuiltinPrior
from nerf2mesh.priors.config import BUILTIN, PriorConfig

CLASSES: dict[str, tuple[str, str]] = {
    "sd": ("families.latent", "StableDiffusionPrior"),
    "sdxl": ("families.latent", "StableDiffusionPrior"),
    "sd3": ("families.flow", "Sd3Prior"),
    "flux": ("families.flow", "FluxPrior"),
    "sana": ("families.flow", "SanaPrior"),
    "if": ("families.pixel", "DeepFloydPrior"),
    "zero123": ("families.zero123", "Zero123Prior"),
    "stable-zero123": ("families.zero123", "Zero123Prior"),
    "mvdream": ("families.multiview", "MultiViewPrior"),
    "imagedream": ("families.multiview", "MultiViewPrior"),
}
"""Module and class by family; loaded when asked for, since diffusers takes seconds to import."""


def load_prior(config: PriorConfig, device: str = "cpu") -> Prior:
    """The prior that `config` names, on `device`.

    Raises:
        ValueError: in one line, which file is missing or foreign, or which setting does not fit the model.
    """
    if config.name == BUILTIN:
        return BuiltinPrior.load(config, device)
    from nerf2mesh.priors.foundation.resolve import resolve

    source = resolve(config)
    if (config.controlnet or config.ip_adapter) and source.family not in ("sd", "sdxl"):
        which = "controlnet" if config.controlnet else "ip_adapter"
        raise ValueError(f"prior.{which}: expected a prior of family sd or sdxl, got {source.family}; leave it out")
    return prior_class(source.family)(source, config, device)


def prior_class(family: str) -> type:
    """The class of a family of foundation models."""
    module, name = CLASSES[family]
    return getattr(importlib.import_module(f"nerf2mesh.priors.foundation.{module}"), name)
