"""Views sampled from the built-in prior against the truth: what it knows before any field is fitted.

Held-out scenes (seeds from VALIDATION_SEED on) or objects of a folder, drawn by the training renderers at the prior's
own size. Given are 1, 2
or 3 views at elevation 20 degrees, azimuths 0, 135, -135; sampled jointly are the three at azimuths 90, 180 and 270,
elevation 20. Pictures are compared in front of white; one figure a scene, the mean of its three views.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.distill import ddim_sample, guided, to_epsilon, to_x0
from nerf2mesh.evaluate.metrics.images import psnr, ssim
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.objects.views import plain_views
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.prior import BuiltinPrior, GivenFrames
from nerf2mesh.procedural.dataset import VALIDATION_SEED
from nerf2mesh.procedural.grammar import sample_scenes
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import Camera

GIVEN_AZIMUTHS_DEG = (0.0, 135.0, -135.0)
SAMPLED_AZIMUTHS_DEG = (90.0, 180.0, 270.0)
ELEVATION_DEG = 20.0
NOISIEST = 0.999
"""The time at which sampling starts: the end of the times that the prior is trained on."""
_OBJECTS = 550_003


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """DDIM (Song et al. 2021, arXiv 2010.02502, eta 0) with `steps` even steps in t."""

    steps: int = 20
    guidance: float = 1.0
    """uncond + guidance (cond - uncond); at 1 the unconditional pass is left out."""
    seed: int = 0


@dataclass(frozen=True)
class SceneViews:
    """Premultiplied RGBA [n, 3, s, s, 4] of the given and of the true sampled views, and their cameras [n, 3]."""

    given: Float[Tensor, "n 3 s s 4"]
    truth: Float[Tensor, "n 3 s s 4"]
    given_cameras: Camera
    cameras: Camera


@dataclass(frozen=True)
class Scores:
    """One figure a scene, [n] each."""

    psnr: Float[Tensor, "n"]
    ssim: Float[Tensor, "n"]


@torch.no_grad()
def sample_views(prior: BuiltinPrior, given: GivenFrames, cameras: Camera, sampling: Sampling) -> Tensor:
    """Premultiplied RGBA [n, V, s, s, 4] of n scenes from cameras [n, V], from the prior alone.

    `given` holds the known frames of each scene [n, W]. Every scene gets the same noise whatever the batch.
    """
    n, v = cameras.batch_shape
    size = prior.image_size
    generator = torch.Generator().manual_seed(sampling.seed)
    x = torch.randn(1, v, 4, size, size, generator=generator).to(prior.device).expand(n, -1, -1, -1, -1)

    def denoise(noisy: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        velocity = prior.predict(noisy, t, cameras, given).float()
        if sampling.guidance != 1.0:
            without = prior.predict(noisy, t, cameras, given, branch="unconditional").float()
            velocity = guided(velocity, without, sampling.guidance)
        x0 = to_x0("v", velocity, noisy, prior.level(t)).clamp(-1.0, 1.0)
        return x0, to_epsilon("x0", x0, noisy, prior.level(t))

    times = torch.linspace(NOISIEST, 0.0, sampling.steps + 1, device=prior.device)[:, None].expand(-1, n)
    return prior.decode(ddim_sample(x, times, denoise, prior.level)).clamp(0.0, 1.0)


def held_out_views(
    n: int, size_px: int, *, device: str | torch.device = "cpu", batch: int = 16
) -> Iterator[SceneViews]:
    """The first n held-out scenes, in batches."""
    for start in range(0, n, batch):
        count = min(batch, n - start)
        yield scene_views(range(VALIDATION_SEED + start, VALIDATION_SEED + start + count), size_px, device=device)


def scene_views(seeds: range, size_px: int, *, device: str | torch.device = "cpu") -> SceneViews:
    """The given and the true views of the grammar's scenes with these seeds, `size_px` pixels on `device`.

    n = len(seeds); views in the order of GIVEN_AZIMUTHS_DEG and SAMPLED_AZIMUTHS_DEG.
    """
    scenes = sample_scenes(seeds).to(device)
    cameras = _cameras(len(seeds), size_px).to(device)
    return _views(SceneRenderer().render(scenes, cameras)["rgba"], cameras)


def object_views(
    folder: ObjectFolder, entries: Sequence[ObjectEntry], size_px: int, *, batch: int = 16
) -> Iterator[SceneViews]:
    """The same views of a folder's objects, in batches: each as it is, its front at azimuth 0, lit at random.

    The light and the paint of an uncolored object are drawn from its place among `entries`.
    """
    for start in range(0, len(entries), batch):
        part = entries[start : start + batch]
        cameras = _cameras(len(part), size_px)
        pictures = [
            plain_views(folder.read(entry), np.random.default_rng([start + i, _OBJECTS]), cameras[i])
            for i, entry in enumerate(part)
        ]
        yield _views(torch.from_numpy(np.stack(pictures)), cameras)


def _cameras(n: int, size_px: int) -> Camera:
    """[n, 6]: the given ones, then the sampled ones."""
    azimuth = torch.tensor(GIVEN_AZIMUTHS_DEG + SAMPLED_AZIMUTHS_DEG).expand(n, -1)
    return Camera.orbit(azimuth, ELEVATION_DEG, width_px=size_px)


def _views(rgba: Tensor, cameras: Camera) -> SceneViews:
    return SceneViews(rgba[:, :3], rgba[:, 3:], cameras[:, :3], cameras[:, 3:])


def given_frames(prior: BuiltinPrior, views: SceneViews, n_given: int) -> GivenFrames:
    """The first `n_given` views of each scene as the prior's clean frames."""
    geometry = FrameGeometry.of(views.given_cameras[:, :n_given])
    return GivenFrames(prior.encode(views.given[:, :n_given].to(prior.device)), geometry)


def mean_training_views(size_px: int, n: int = 256, *, device: str | torch.device = "cpu", batch: int = 32) -> Tensor:
    """The mean picture [3, s, s, 4] of training scenes in the sampled views: the best guess that sees nothing."""
    starts = range(0, n, batch)
    sums = [scene_views(range(s, min(s + batch, n)), size_px, device=device).truth.sum(0) for s in starts]
    return torch.stack(sums).sum(0) / n


def score_pictures(pictures: Tensor, truth: Tensor) -> Scores:
    """Premultiplied RGBA [n, 3, s, s, 4] against the truth, over white, the mean of each scene's three views."""
    shown, wanted = (v[..., :3] + 1.0 - v[..., 3:] for v in (pictures.expand_as(truth), truth))
    return Scores(psnr(shown, wanted).mean(1), ssim(shown, wanted).mean(1))
