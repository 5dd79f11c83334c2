"""Volume rendering of a field: march, shade, composite; in blocks where the samples exceed the memory budget.

Letters
    R rays, C samples. A ray's color is sum_i w_i c_i with w_i = T_i (1 - exp(-sigma_i dt_i)), T_i = exp(-sum_{j<i}
    sigma_j dt_j) (Max 1995); it is premultiplied, and the background is the caller's: `Rendering.over`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.fields import Field, FieldOutput
from nerf2mesh.kernels import Samples
from nerf2mesh.render.backends import load_backend
from nerf2mesh.render.capacity import Bounds, Capacity
from nerf2mesh.render.config import RendererConfig
from nerf2mesh.render.occupancy import OccupancyGrid
from nerf2mesh.render.samples import lit_samples, ray_blocks, slice_rays
from nerf2mesh.types import Camera, Rays, Rendering

Objective = Callable[[Rendering], Tensor]
_PER_SAMPLE = ("weights", "points", "ray_index", "t", "dt", "logit")


class VolumeRenderer:
    """Renders `field` through `occupancy`; the field's training mode decides the arithmetic (FieldConfig.precision)."""

    def __init__(self, config: RendererConfig, field: Field, occupancy: OccupancyGrid) -> None:
        self.config = config
        self.field = field
        self.occupancy = occupancy
        self.backend = load_backend(config.backend, occupancy.bits.device)
        self.gate: Callable[[Tensor], Tensor] | None = None
        """Points [n, 3] -> bool [n]: where False, no gradient reaches the field (`shade`); None: it does everywhere."""
        self._capacities: dict[int, tuple[Capacity, Capacity]] = defaultdict(_two_capacities)
        """Of marched and of lit samples, by number of rays."""

    @property
    def chunk_samples(self) -> int:
        """How many samples a differentiable pass holds within the memory budget."""
        return max(1, self.budget_bytes // self.field.bytes_per_sample)

    @cached_property
    def budget_bytes(self) -> int:
        """`RendererConfig.memory_budget_bytes` for this device."""
        device = self.occupancy.bits.device
        if self.config.memory_budget_bytes is not None or device.type != "cuda":
            return self.config.memory_budget_bytes or 2 << 30
        return max(2 << 30, torch.cuda.get_device_properties(device).total_memory // 8)

    def update_occupancy(self, step: int, generator: torch.Generator | None = None) -> bool:
        """Refreshes the occupancy grid where `step` is a multiple of `occupancy_every`; returns whether it did."""
        c = self.config
        if step % c.occupancy_every:
            return False
        self.occupancy.update(
            self.field,
            threshold=c.density_threshold,
            generator=generator,
            decay=c.occupancy_decay,
            warmup=step < c.occupancy_warmup,
        )
        return True

    @property
    def lost_samples(self) -> int:
        """How many samples of bounded passes had no place, by the counts that have arrived; see `sample`."""
        return sum(capacity.lost for pair in self._capacities.values() for capacity in pair)

    @torch.no_grad()
    def sample(self, rays: Rays, jitter: Float[Tensor, "r"] | None = None, *, bounded: bool = False) -> Samples:
        """The samples of flat `rays` [R, 3] that will be shaded; `jitter` [R] in [0, 1) moves each ray's lattice.

        bounded: on a GPU the buffers' size is estimated from earlier bounded passes over as many rays, without host
        synchronization; the last rays' samples are lost where it does not suffice. On a CPU counts are exact.
        """
        bounds = self.bounds(len(rays.origins)) if bounded else Bounds()
        samples = self.sample_within(rays, jitter, bounds)
        if bounded:
            self.learn(len(rays.origins), bounds)
        return samples

    def bounds(self, n_rays: int) -> Bounds:
        """The places of the next bounded pass over so many rays; see `sample`."""
        if not self._may_bound():
            return Bounds()
        marched, lit = self._capacities[n_rays]
        return Bounds(self._places(marched), self._places(lit))

    def learn(self, n_rays: int, bounds: Bounds) -> None:
        """What a pass within `bounds` has needed."""
        if self._may_bound():
            places = (bounds.marched, bounds.lit)
            for capacity, count, given in zip(self._capacities[n_rays], bounds.needed, places):
                capacity.learn(count, given)

    @torch.no_grad()
    def sample_within(self, rays: Rays, jitter: Float[Tensor, "r"] | None, bounds: Bounds) -> Samples:
        """`sample` with given places; notes in `bounds.needed` how many it takes."""
        c = self.config
        places = bounds.marched
        samples = self.backend.march_rays(
            rays.origins,
            rays.directions,
            self.occupancy.bits,
            self.occupancy.resolution,
            near=c.near,
            far=c.far,
            step_size=c.step_size,
            jitter=jitter,
            capacity=places,
        )
        bounds.needed = [samples.t.shape[0] if places is None else samples.n_samples + samples.overflow]
        if c.prune_transmittance == 0 or samples.t.shape[0] == 0:
            return samples
        density = self.field.density(_points(rays, samples))
        places = bounds.lit
        pruned = lit_samples(samples, density, c.prune_transmittance, places)
        wanted = pruned.t.shape[0] if places is None else pruned.n_samples + pruned.overflow - samples.overflow
        bounds.needed.append(wanted)
        return pruned

    def _may_bound(self) -> bool:
        return self.occupancy.bits.device.type != "cpu" and self.config.backend == "native"

    def _places(self, capacity: Capacity) -> int | None:
        """The buffers' size; None for the exact count, also where the samples will be cut into blocks, which reads the
        counts on the host in any case."""
        places = capacity.places()
        return None if places is None or places > self.chunk_samples else places

    def shade(self, rays: Rays, samples: Samples, *, normals: str | None = None, extras: bool = False) -> Rendering:
        """Field and compositing of given samples; differentiable. Arguments as in `render_rays`."""
        points = _points(rays, samples)
        directions = None
        if self.field.view_dependent:
            directions = rays.directions.index_select(0, samples.ray_index)
        output = self.field(points, directions)
        if self.gate is not None:
            output = _gated(output, self.gate(points))
        parts = [output.rgb]
        if normals is not None:
            parts.append(self.field.normals(points, normals))
        if output.surface is not None:
            parts.append(output.surface)
        channels = torch.cat(parts, dim=-1) if len(parts) > 1 else output.rgb
        done = self.backend.composite(output.density, channels, samples.t, samples.dt, samples.packed_info)
        extra = {"distortion": done.distortion, "n_samples": samples.packed_info[:, 1]}
        if output.surface is not None:
            extra["surface"] = done.channels[:, -2:]
        if extras:
            values = (done.weights, points, samples.ray_index, samples.t, samples.dt, output.logit)
            extra |= dict(zip(_PER_SAMPLE, values, strict=True))
        return Rendering(
            rgb=done.channels[:, :3],
            opacity=done.opacity,
            depth=done.depth / done.opacity.clamp_min(1e-6),
            normal=None if normals is None else done.channels[:, 3:6],
            extra=extra,
        )

    def render_rays(
        self,
        rays: Rays,
        *,
        jitter: Float[Tensor, "r"] | None = None,
        normals: str | None = None,
        extras: bool = False,
        bounded: bool = False,
    ) -> Rendering:
        """All of flat `rays` [R, 3] in one differentiable pass.

        normals: "analytic" or "finite_difference" (see HashGridField.normals) fills `Rendering.normal`.
        extra: "distortion" [R] (mip-NeRF 360 equation 15, world units), "n_samples" [R]; "surface" [R, 2] where the
        field has it, roughness and metallic, premultiplied; with `extras` also, per sample, "weights" (constant),
        "points", "ray_index", "t", "dt", "logit". bounded: see `sample`.
        """
        return self.shade(rays, self.sample(rays, jitter, bounded=bounded), normals=normals, extras=extras)

    def backward_in_chunks(
        self,
        rays: Rays,
        objective: Objective,
        *,
        jitter: Float[Tensor, "r"] | None = None,
        normals: str | None = None,
        sample_objective: Objective | None = None,
        bounds: Bounds | None = None,
    ) -> tuple[Rendering, Tensor]:
        """Render, call `objective(rendering)` for a scalar, and add its gradient to the parameters' `.grad`.

        Where the samples exceed the memory budget they are rendered twice: without gradients for the objective's
        gradient on the image, then block by block with that gradient put in. The result is the one-pass gradient up to
        the order of summation. `sample_objective` sees the blocks with their per-sample extras; its value must be a
        mean over rays, and blocks are weighted by their share of the rays. Sampling is bounded (see `sample`), within
        `bounds` where the caller has them and will `learn`. Returns the detached rendering and value.
        """
        if bounds is None:
            samples = self.sample(rays, jitter, bounded=True)
        else:
            samples = self.sample_within(rays, jitter, bounds)
        blocks = ray_blocks(samples, self.chunk_samples)
        if len(blocks) == 1:
            rendering = self.shade(rays, samples, normals=normals, extras=sample_objective is not None)
            value = objective(rendering)
            value = value if sample_objective is None else value + sample_objective(rendering)
            value.backward()
            return _detached(rendering), value.detach()
        with torch.no_grad():
            parts = [self.shade(_rays(rays, b), slice_rays(samples, *b), normals=normals) for b in blocks]
        leaf = _detached(_joined(parts), requires_grad=True)
        value = objective(leaf)
        value.backward()
        total = value.detach()
        for block in blocks:
            part = self.shade(
                _rays(rays, block), slice_rays(samples, *block), normals=normals, extras=sample_objective is not None
            )
            outputs, gradients = _with_gradients(part, leaf, block)
            if sample_objective is not None:
                share = (block[1] - block[0]) / samples.packed_info.shape[0]
                extra = sample_objective(part) * share
                outputs, gradients = [*outputs, extra], [*gradients, torch.ones_like(extra)]
                total = total + extra.detach()
            if outputs:
                torch.autograd.backward(outputs, gradients)
        return _detached(leaf), total

    @torch.no_grad()
    def render(self, camera: Camera, *, normals: str | None = None, bounded: bool = False) -> Rendering:
        """The pictures of `camera` [*b, h, w, ...] in evaluation mode (float32, lattice not moved, no gradients).

        bounded: see `sample`; for small pictures that are rendered often.
        """
        shape = (*camera.batch_shape, camera.height_px, camera.width_px)
        rays = camera.to(self.occupancy.bits.device).rays().flatten()
        # March buffers hold 12 bytes a sample, and at most all of the lattice.
        per_block = max(1, self.budget_bytes // (12 * 4 * self.config.samples_per_ray))
        parts = []
        with _evaluating(self.field):
            for first in range(0, rays.origins.shape[0], per_block):
                some = _rays(rays, (first, min(first + per_block, rays.origins.shape[0])))
                samples = self.sample(some, bounded=bounded)
                for block in ray_blocks(samples, self.chunk_samples):
                    parts.append(self.shade(_rays(some, block), slice_rays(samples, *block), normals=normals))
        return _reshaped(_joined(parts), shape)


def _two_capacities() -> tuple[Capacity, Capacity]:
    return Capacity(), Capacity()


def _gated(output: FieldOutput, passes: Tensor) -> FieldOutput:
    """The same values, cut off from the parameters where `passes` is False."""
    return FieldOutput(
        *(
            None
            if value is None
            else torch.where(passes[:, None] if value.ndim == 2 else passes, value, value.detach())
            for value in output
        )  # pyright: ignore[reportArgumentType]
    )


def _points(rays: Rays, samples: Samples) -> Float[Tensor, "c 3"]:
    origins = rays.origins.index_select(0, samples.ray_index)
    directions = rays.directions.index_select(0, samples.ray_index)
    return torch.addcmul(origins, directions, samples.t[:, None])


def _rays(rays: Rays, block: tuple[int, int]) -> Rays:
    return Rays(rays.origins[slice(*block)], rays.directions[slice(*block)])


def _map(rendering: Rendering, change: Callable[[Tensor], Tensor]) -> Rendering:
    normal = None if rendering.normal is None else change(rendering.normal)
    extra = {name: change(value) for name, value in rendering.extra.items() if name not in _PER_SAMPLE}
    return Rendering(change(rendering.rgb), change(rendering.opacity), change(rendering.depth), normal, extra)


def _detached(rendering: Rendering, requires_grad: bool = False) -> Rendering:
    return _map(rendering, lambda x: x.detach().requires_grad_(requires_grad and x.is_floating_point()))


def _reshaped(rendering: Rendering, shape: tuple[int, ...]) -> Rendering:
    return _map(rendering, lambda x: x.reshape(*shape, *x.shape[1:]))


def _flat(rendering: Rendering) -> list[Tensor]:
    normal = [] if rendering.normal is None else [rendering.normal]
    surface = [rendering.extra["surface"]] if "surface" in rendering.extra else []
    return [rendering.rgb, rendering.opacity, rendering.depth, *normal, rendering.extra["distortion"], *surface]


def _joined(parts: list[Rendering]) -> Rendering:
    names = [name for name in parts[0].extra if name not in _PER_SAMPLE]
    extra = {name: torch.cat([part.extra[name] for part in parts]) for name in names}
    rgb, opacity, depth, *rest = (torch.cat(column) for column in zip(*map(_flat, parts), strict=True))
    return Rendering(rgb, opacity, depth, rest[0] if parts[0].normal is not None else None, extra)


def _with_gradients(part: Rendering, leaf: Rendering, block: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
    """The outputs of `part` that the objective used, and its gradients on them."""
    pairs = [(p, w.grad[slice(*block)]) for p, w in zip(_flat(part), _flat(leaf), strict=True) if w.grad is not None]
    return [p for p, _ in pairs], [g for _, g in pairs]


@contextmanager
def _evaluating(field: Field) -> Iterator[None]:
    training = field.training
    field.train(False)
    try:
        yield
    finally:
        field.train(training)
