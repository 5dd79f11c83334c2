"""Selecting packed samples: by ray, and by the light that reaches them.

Letters
    Samples of ray r are the rows start_r .. start_r + count_r of every flat array; packed_info [n_rays, 2] holds
    (start, count) and rays follow one another without gaps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nerf2mesh.kernels import Samples


def slice_rays(samples: Samples, first: int, last: int) -> Samples:
    """The samples of rays first..last-1, renumbered from 0. Views where possible."""
    packed = samples.packed_info[first:last]
    if first == 0 and last == len(samples.packed_info):
        return samples
    if first == last:
        rows = slice(0, 0)
    else:
        rows = slice(int(packed[0, 0]), int(packed[-1].sum()))
    return Samples(
        samples.t[rows],
        samples.dt[rows],
        samples.ray_index[rows] - first,
        torch.stack([packed[:, 0] - rows.start, packed[:, 1]], dim=1),
        rows.stop - rows.start,
        samples.overflow,
    )


def ray_blocks(samples: Samples, max_samples: int) -> list[tuple[int, int]]:
    """Runs (first, last) of rays with at most `max_samples` samples each (a single ray may have more)."""
    n_rays = samples.packed_info.shape[0]
    if samples.t.shape[0] <= max_samples:
        return [(0, n_rays)]
    ends = samples.packed_info.sum(1).tolist()
    blocks, first, begin = [], 0, 0
    for ray, end in enumerate(ends):
        if end - begin > max_samples and ray > first:
            blocks.append((first, ray))
            first, begin = ray, ends[ray - 1]
    return [*blocks, (first, n_rays)]


def lit_samples(samples: Samples, density: Tensor, transmittance: float, capacity: int | None = None) -> Samples:
    """Without the samples that less than `transmittance` of the light reaches, given every sample's density.

    capacity: None gives buffers of the exact size, which on a GPU synchronizes the host. A number gives that many
    places without synchronization: samples beyond it are lost, and unused places have dt = 0 and belong to no ray.
    """
    start, end = samples.packed_info[:, 0], samples.packed_info.sum(1, dtype=torch.int32)
    depth = torch.cumsum((density * samples.dt).double(), 0)
    before = torch.cat([depth.new_zeros(1), depth])
    reach = before.index_select(0, start) - math.log(transmittance)
    lit = before[:-1] < reach.index_select(0, samples.ray_index)
    if capacity is not None:
        lit = lit & (samples.dt > 0)  # unused places of the march lie behind all rays
    # What is dropped is the end of a ray, so that the rest keeps its order.
    kept = torch.cat([start.new_zeros(1), torch.cumsum(lit, 0, dtype=torch.int32)])
    first, last = kept.index_select(0, start), kept.index_select(0, end)
    if capacity is not None:
        return _packed(samples, lit, kept, torch.stack([first, last], dim=1), capacity)
    rows = lit.nonzero()[:, 0]
    return Samples(
        samples.t.index_select(0, rows),
        samples.dt.index_select(0, rows),
        samples.ray_index.index_select(0, rows),
        torch.stack([first, last - first], dim=1),
        rows.shape[0],
        samples.overflow,
    )


def _packed(samples: Samples, lit: Tensor, kept: Tensor, ends: Tensor, capacity: int) -> Samples:
    """The lit samples in `capacity` places; kept: how many lit ones lie before each, ends: of each ray [n_rays, 2]."""
    total = kept[-1]
    # All others go to one place too many, which is cut off.
    place = torch.where(lit, kept[:-1], capacity).clamp_max(capacity).long()
    rows = place.new_zeros(capacity + 1).scatter_(0, place, torch.arange(len(place), device=place.device))[:capacity]
    used = torch.arange(capacity, device=place.device) < total
    first, last = ends.clamp_max(capacity).unbind(1)
    return Samples(
        samples.t.index_select(0, rows),
        samples.dt.index_select(0, rows) * used,
        samples.ray_index.index_select(0, rows),
        torch.stack([first, last - first], dim=1),
        total.clamp(max=capacity),
        samples.overflow + (total - capacity).clamp(min=0),
    )
