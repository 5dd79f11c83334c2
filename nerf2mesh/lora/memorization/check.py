"""The check itself: outputs of an adapter, the training items nearest to them, and whether these are too near.

Probes are pictures that were not learnt from. For each, the network with the adapter makes two objects, one from the
picture and one from noise alone (an adapter that remembers its items brings them up unasked). Of each the distance to
the nearest training item is measured. Two kinds of references say what near means: the probes' true objects, which
have nothing to do with the items, and what the network makes without the adapter from the same picture and noise.

An output counts as a copy where it is nearer to an item than any reference is to its own nearest. If outputs and
references were alike, each of the n + m values would be as likely to be the smallest as any other, and the k smallest
would all be outputs with the probability C(n, k) / C(n + m, k) (the precedence test, Nelson 1963). An adapter is
flagged where that is at most CHANCE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nerf2mesh.lora import adapters
from nerf2mesh.lora.hull import Shell, draw, shell_of
from nerf2mesh.lora.memorization.distances import SIZE_PX, Distance, nearest, views_of
from nerf2mesh.lora.memorization.outputs import sample_views
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.prior import BuiltinPrior

CHANCE = 0.01
HULL_PX, HULL_GRID = 64, 48


@dataclass(frozen=True)
class Output:
    """One object that the adapter made: from a probe's picture, or from noise alone (`hidden`)."""

    probe: int
    hidden: bool
    views: Tensor
    """Premultiplied RGBA [V, 4, s, s] from the probe's cameras."""
    distance: Distance
    base: Distance
    """Of what the network makes of the same without the adapter."""
    seen: Tensor
    """The output from the nearest item's cameras, and beside it that item's views: both [W, 4, HULL_PX, HULL_PX]."""
    item: Tensor


@dataclass(frozen=True)
class Memorization:
    """What came of the check; distances as in `distances.Distance.total`."""

    outputs: list[Output]
    truths: list[Distance]
    """Of the probes' true objects."""

    @property
    def threshold(self) -> float:
        """The smallest distance of a reference."""
        return min([d.total for d in self.truths] + [output.base.total for output in self.outputs])

    @property
    def copies(self) -> list[Output]:
        """Outputs under the threshold, the nearest first."""
        found = [output for output in self.outputs if output.distance.total < self.threshold]
        return sorted(found, key=lambda output: output.distance.total)

    @property
    def chance(self) -> float:
        """How probable so many copies are, if outputs and references are alike."""
        return precedence(len(self.copies), len(self.outputs), len(self.truths) + len(self.outputs))

    @property
    def flagged(self) -> bool:
        """Whether outputs are drawn to single items more than chance would have it."""
        return self.chance <= CHANCE

    def line(self) -> str:
        """The result in one sentence."""
        n, k = len(self.outputs), len(self.copies)
        said = f"{k} of {n} outputs are nearer to a training item than {self.threshold:.3f}, as no reference is"
        if self.flagged:
            return f"{said} (chance {self.chance:.1g}): flagged, they are drawn to single items"
        return f"{said} (chance {self.chance:.2g}): not flagged"


def precedence(k: int, n: int, m: int) -> float:
    """The probability that the k smallest of n + m exchangeable values are all of the n."""
    return math.comb(n, k) / math.comb(n + m, k)


def check_memorization(
    prior: BuiltinPrior,
    items: Frames,
    probes: Frames,
    seed: int = 0,
    on_probe: Callable[[], None] = lambda: None,
) -> Memorization:
    """Compares what the adapters that are active on the prior make of `probes` with the training `items`.

    Both as `lora.train.pairs.load_pairs` gives them, frame 0 the picture. Deterministic for a seed and number of
    threads.
    """
    small = [views_of(items, i, SIZE_PX) for i in range(len(items))]
    active = adapters.stacked(prior.network)
    outputs, truths = [], []
    for probe in range(len(probes)):
        images, cameras = views_of(probes, probe, HULL_PX)
        truths.append(nearest(shell_of(images, cameras, grid=HULL_GRID), small)[0])
        scene = _distinct(probes, probe)
        for hidden in (False, True):
            stream = 2 * (seed * 1_000_003 + probe) + hidden
            views = _made(prior, scene, stream, hidden, active)
            shell = shell_of(views, cameras, grid=HULL_GRID)
            found = nearest(shell, small)[0]
            bare = _made(prior, scene, stream, hidden, {})
            base = nearest(shell_of(bare, cameras, grid=HULL_GRID), small)[0]
            outputs.append(Output(probe, hidden, views, found, base, *_beside(shell, found, items)))
        on_probe()
    return Memorization(outputs, truths)


def _made(prior: BuiltinPrior, scene: Frames, stream: int, hidden: bool, active: dict[str, float]) -> Tensor:
    with adapters.using(prior.network, active):
        return sample_views(prior, scene, torch.Generator().manual_seed(stream), hidden=hidden)


def _distinct(frames: Frames, scene: int) -> Frames:
    """One scene: its picture, and each of its views once."""
    _, cameras = views_of(frames, scene, 8)
    poses = frames.geometry.pose[scene, 1:]
    order = [0, *(1 + int((poses == pose).flatten(1).all(1).nonzero()[0]) for pose in cameras.camera_to_world)]
    return frames[scene : scene + 1].picked(torch.tensor([order]))


def _beside(shell: Shell, found: Distance, items: Frames) -> tuple[Tensor, Tensor]:
    images, cameras = views_of(items, found.item, HULL_PX)
    return draw(shell.mirrored() if found.mirrored else shell, cameras), images
