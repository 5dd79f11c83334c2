"""One distiller for each loss: the calls to the prior around the pure functions of `distill`."""

from __future__ import annotations

import torch

from nerf2mesh.distill import DistillConfig
from nerf2mesh.optimize.distillers import inverted, stateless
from nerf2mesh.optimize.distillers.guidance_inputs import Distiller, GuidanceInputs, LatentGradient, as_decoded
from nerf2mesh.optimize.distillers.stateless import Stateless
from nerf2mesh.optimize.distillers.variational import Bootstrapped, Variational
from nerf2mesh.priors.base import Prior

GRADIENTS = {
    "sds": stateless.sds,
    "sjc": stateless.sjc,
    "csd": stateless.csd,
    "nfsd": stateless.nfsd,
    "asd": stateless.asd,
    "dds": stateless.dds,
    "hifa": stateless.hifa,
    "x0": stateless.x0,
    "rfds": stateless.rfds,
    "rfds_rev": stateless.rfds_rev,
    "ism": inverted.ism,
    "sdi": inverted.sdi,
}


def make_distiller(prior: Prior, config: DistillConfig, generators: dict[str, torch.Generator]) -> Distiller:
    """The distiller of `config.loss`; VSD and BSD put their adapters on the prior's network."""
    if config.loss == "vsd":
        return Variational(prior, config, generators["phi"])
    if config.loss == "bsd":
        return Bootstrapped(prior, config, generators["phi"])
    return Stateless(GRADIENTS[config.loss])


__all__ = ["Distiller", "GuidanceInputs", "LatentGradient", "as_decoded", "make_distiller"]
