"""A distillation loss of your own: `python examples/02_own_loss.py [SETTING ...]`.

Score distillation with pixel-wise gradient clipping (Pan et al. 2023, arXiv 2310.12474): no pixel of the latents pulls
harder than twice the mean pixel.
"""

from __future__ import annotations

import sys

import nerf2mesh
from nerf2mesh.distill import sds_gradient
from nerf2mesh.optimize import GuidanceInputs, LatentGradient


def clipped_sds(inputs: GuidanceInputs) -> LatentGradient:
    """w(t) (e_hat - noise), its norm over the channels limited in each pixel; latents are [B, V, channels, h, w]."""
    noise = inputs.noise()
    noisy = inputs.level.add(inputs.latents, noise)
    noise_hat = inputs.guided_epsilon(noisy, inputs.time)
    gradient = sds_gradient(noise_hat, noise, inputs.level, inputs.config.weighting)
    norm = gradient.norm(dim=-3, keepdim=True)
    return LatentGradient(gradient * (2.0 * norm.mean() / norm.clamp_min(1e-12)).clamp(max=1.0))


def main(settings: list[str]) -> None:
    result = nerf2mesh.fit(nerf2mesh.demo_picture(), overrides=settings or ["preset=preview"], loss=clipped_sds)
    print(result, *result.save("outputs/examples/02"))


if __name__ == "__main__":
    main(sys.argv[1:])
