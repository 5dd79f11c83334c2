"""The known object as a prior of branches, so that every loss has it as its fixed point.

Each branch answers as a Gaussian around the true views does: x0_hat = m + k (x_t - alpha m), k = alpha v / (alpha^2 v +
sigma^2), with variance v. The conditional branch is sharp (v = 0: it always answers with the truth), the unconditional
and the negative ones are broad around the same views. Why the object is the fixed point of each loss:
    sds, sjc, x0, hifa, asd, rfds, rfds_rev, sdi, ism: they pull towards the conditional answer, and the broad one's
        mean pull vanishes at the object.
    csd, nfsd: they follow e_c - e_u, the score of p_c / p_u, whose maximum is where a sharp and a broad Gaussian of
        one center have theirs. With another center m_u of the broad one it would lie beyond the object, away from m_u.
    vsd, bsd: e_phi is learned, so the prior has a network: a layer of zeros on what is seen, on which the adapter
        learns the mean of the renderings from their noisy views. e_hat - e_phi is then k' (x_t - alpha m) with k' >= 0,
        which is 0 when the renderings have no spread left around m.
    dds: the conditional branch is sharp around the wanted object, the negative one around the source as it is rendered
        (`portraits`): that the source's prompt describes the source is what DDS takes for granted. What it leaves out
        would be carried over to the edited object.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from nerf2mesh.distill import NoiseLevel, cosine_level, from_x0
from nerf2mesh.priors.base import Branch
from nerf2mesh.types import Camera
from tests.optimize.scene import BallPrior, ball_views

SPREAD = {"conditional": 0.0, "unconditional": 0.5, "negative": 0.5}


class Residual(torch.nn.Module):
    """A layer of zeros, where adapters go: [n, 4, s, s] of x_t - alpha m to a change of x0_hat."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Conv2d(4, 4, 1, bias=False)
        torch.nn.init.zeros_(self.out.weight)

    def forward(self, away: torch.Tensor) -> torch.Tensor:
        return self.out(away.flatten(0, 1)).reshape(away.shape)


class KnownPrior(BallPrior):
    """See the module's text.

    spread: the branches' standard deviations. radius: of the ball that a branch knows, as a share of the true one.
    portraits: branches that know the views that a function of the cameras gives.
    """

    def __init__(
        self,
        image_size: int = 16,
        *,
        kind: str = "v",
        spread: dict[Branch, float] | None = None,
        radius: dict[Branch, float] | None = None,
    ) -> None:
        super().__init__(image_size)
        self.kind, self.network = kind, Residual()
        self.spread, self.radius = SPREAD | (spread or {}), radius or {}
        self.portraits: dict[Branch, Callable[[Camera], torch.Tensor]] = {}
        self._seen: tuple[Camera, dict[float, torch.Tensor]] | None = None

    def level(self, t: torch.Tensor) -> NoiseLevel:
        t = t.reshape(-1, 1, 1, 1, 1)
        return NoiseLevel(1.0 - t, t) if self.kind == "flow" else cosine_level(t)

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):
        level, variance = self.level(t), self.spread[branch] ** 2
        if branch in self.portraits:
            truth = self.encode(self.portraits[branch](cameras))
        else:
            truth = self._truth(cameras, self.radius.get(branch, 1.0))
        away = noisy - level.alpha * truth
        share = level.alpha * variance / (level.alpha.square() * variance + level.sigma.square())
        x0_hat = truth + share * away + self.network(away)
        return from_x0(self.kind, x0_hat, noisy, level)

    def _truth(self, cameras: Camera, radius: float) -> torch.Tensor:
        """Views of the ball scaled by `radius`, made once for each set of cameras."""
        if self._seen is None or self._seen[0] is not cameras:
            self._seen = (cameras, {})
        views = self._seen[1]
        if radius not in views:
            views[radius] = self.encode(ball_views(cameras, radius))
        return views[radius]


def volume_iou(field, radius: float, density: float, resolution: int = 48) -> float:
    """Of the points where the field is denser than `density`, and of the ball, on a grid over the unit box."""
    axis = (torch.arange(resolution) + 0.5) / resolution * 2.0 - 1.0
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    with torch.no_grad():
        found = field.density(points) > density
    true = points.norm(dim=-1) < radius
    return float((found & true).sum() / (found | true).sum())
