"""Diffusion priors over views of objects, behind one interface (`base.Prior`)."""

from nerf2mesh.priors.base import Condition, Prior, PriorDefaults, SeesCameras
from nerf2mesh.priors.builtin.prior import BuiltinPrior
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.load import load_prior

__all__ = [
    "BuiltinPrior",
    "Condition",
    "Prior",
    "PriorConfig",
    "PriorDefaults",
    "SeesCameras",
    "load_prior",
]
