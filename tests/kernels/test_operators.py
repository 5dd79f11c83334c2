"""What torch's dispatcher and compiler want of an operator, and the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nerf2mesh import kernels

from .compare import needs_native, random_bits, rays, small_layout

ops = torch.ops.n2m


def grid_arguments() -> tuple[list[int], float, int]:
    layout = small_layout()
    return list(layout.geometry), layout.per_level_scale, layout.n_levels


def sample_batch() -> tuple[Tensor, ...]:
    origins, directions = rays(40)
    s = kernels.march_rays(origins, directions, random_bits(16, 0.5), 16, step_size=0.05)
    return torch.rand(s.n_samples) * 4, torch.rand(s.n_samples, 3), s.t, s.dt, s.packed_info


def calls() -> dict[str, tuple]:
    layout, n = small_layout(), 50
    x, v, p, g = torch.rand(n, 3), torch.randn(n, 3), torch.randn(layout.n_params), torch.randn(n, layout.n_outputs)
    spec, samples, r = grid_arguments(), sample_batch(), 40
    origins, directions = rays(40)
    composited = ops.composite(*samples, 0.0)
    per_ray = [torch.randn(r) for _ in range(3)]
    flat = [torch.randn(64) for _ in range(3)] + [torch.rand(64)]
    return {
        "grid_forward": (x, p, *spec),
        "grid_jvp": (x, p, v, *spec),
        "grid_backward": (x, g, v, g, *spec),
        "grid_input_grad": (x, p, g, None, None, *spec),
        "march": (origins, directions, random_bits(16, 0.5), torch.rand(r), 16, 1, 0.0, 1e10, 0.05, None),
        "composite": (*samples, 1e-3),
        "composite_backward": (
            *samples, composited[1], composited[2], composited[4], torch.randn(r, 3), *per_ray, 0.0,
        ),
        "update_occupancy": (
            torch.rand(512), torch.zeros(64, dtype=torch.uint8), torch.arange(9), torch.rand(9), 0.9, 0.5, True,
        ),
        "adam": (*flat, 0.1, 0.9, 0.99, 1e-8, 0.0, 3, 1.0, 4, True, False),
        "adam_many": (*([t.clone(), t[:9].clone()] for t in flat), [0.1, 0.9, 0.99, 1e-8, 0.1] * 2, [3, 4, 1, 0]),
    }  # fmt: skip


def checked(name: str) -> object:
    """opcheck looks from below autograd, where the gradients of the torch twins, which are autograd's, do not exist."""
    by_autograd = ("grid_jvp", "grid_backward", "grid_input_grad", "composite_backward")
    return pytest.param(name, marks=[needs_native] if name.split()[0] in by_autograd else [])


@pytest.mark.parametrize("name", [checked(name) for name in sorted(calls())])
def test_opcheck(name: str) -> None:
    torch.library.opcheck(getattr(ops, name).default, calls()[name])


@needs_native  # torch's own sums make no such promise
@pytest.mark.parametrize("n_threads", [2, 4])
def test_bits_do_not_depend_on_threads(n_threads: int) -> None:
    def run(threads: int) -> list[Tensor]:
        torch.manual_seed(0)
        torch.set_num_threads(threads)
        layout = kernels.GridLayout(n_levels=3, n_features=2, log2_table_size=12)
        x, p = torch.rand(70_001, 3, requires_grad=True), torch.randn(layout.n_params, requires_grad=True)
        out = kernels.hash_grid_encode(x, p, layout)
        gradients = torch.autograd.grad(out.square().sum(), (x, p))
        origins, directions = rays(1000)
        s = kernels.march_rays(origins, directions, random_bits(32, 0.5), 32, step_size=0.01, jitter=torch.rand(1000))
        density, color = torch.rand(s.n_samples, requires_grad=True), torch.rand(s.n_samples, 4, requires_grad=True)
        image = kernels.composite(density, color, s.t, s.dt, s.packed_info)
        total = sum(part.square().sum() for part in image[:4])
        state = [torch.randn(100_001), torch.randn(100_001), torch.randn(100_001), torch.rand(100_001)]
        kernels.adam_step(*state, step=2, lr=0.1)
        return [out, *gradients, *s[:4], *image, *torch.autograd.grad(total, (density, color)), *state]

    for one, many, again in zip(run(1), run(n_threads), run(n_threads)):
        assert torch.equal(one, many) and torch.equal(many, again)


def variants() -> dict[str, tuple]:
    """Optional arguments left out, float16 storage, a capacity, nothing at all."""
    plain, spec = calls(), grid_arguments()
    x, p, g = plain["grid_input_grad"][:3]
    none = torch.zeros(0, 3), torch.zeros(0, x.shape[1]), g[:0]
    return {
        "grid_forward half": (x, p.half(), *spec),
        "grid_forward empty": (none[0], p, *spec),
        "grid_backward plain": (x, g, None, None, *spec),
        "grid_backward tangent": (x, None, none[1].new_ones(x.shape), g, *spec),
        "grid_backward empty": (none[0], none[2], None, None, *spec),
        "grid_input_grad half": (x, p.half(), None, torch.ones_like(x), g, *spec),
        "march capacity": (*plain["march"][:3], None, *plain["march"][4:9], 100),
        "march empty": (none[0], none[0], plain["march"][2], None, *plain["march"][4:]),
        "composite_backward one": (*plain["composite_backward"][:8], None, torch.randn(40), None, None, 0.0),
        "update_occupancy plain": (*plain["update_occupancy"][:6], False),
        "adam dense": (*plain["adam"][:11], 1, False, True),
    }


@pytest.mark.parametrize("name", [checked(name) for name in sorted(variants())])
def test_opcheck_of_variants(name: str) -> None:
    torch.library.opcheck(getattr(ops, name.split()[0]).default, variants()[name])


def compiled_agrees(function: Callable[..., Any], *arguments: Any) -> None:
    """fullgraph=True raises at a graph break."""
    copies = [[a.clone() if isinstance(a, Tensor) else a for a in arguments] for _ in range(2)]
    torch._dynamo.reset()
    got = torch.compile(function, fullgraph=True, backend="aot_eager")(*copies[0])
    wanted = function(*copies[1])
    for a, b in zip([*got, *copies[0]], [*wanted, *copies[1]]):
        assert torch.allclose(a, b, atol=1e-6) if isinstance(b, Tensor) else a == b


@pytest.mark.slow
def test_every_operator_compiles_without_graph_breaks() -> None:
    layout, n = small_layout(), 50
    x, v, p = torch.rand(n, 3), torch.randn(n, 3), 0.1 * torch.randn(layout.n_params)
    g, (origins, directions), bits = torch.randn(n, layout.n_outputs), rays(40), random_bits(16, 0.5)

    def gradients(x: Tensor, p: Tensor, v: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        value, along = kernels.hash_grid_jvp(x, p, v, layout)
        back = kernels.hash_grid_vjp(x, p, g, layout)
        return kernels.hash_grid_encode(x, p, layout, 3), value, along, back

    def trained(x: Tensor, p: Tensor, v: Tensor, g: Tensor) -> Tensor:
        return sum((out * out).sum() for out in gradients(x, p, v, g))

    compiled_agrees(gradients, x, p, v, g)
    leaves = [t.clone().requires_grad_() for t in (x, p, v, g)]
    compiled = torch.compile(trained, fullgraph=True, backend="aot_eager")
    for got, wanted in zip(*(torch.autograd.grad(f(*leaves), leaves) for f in (compiled, trained))):
        assert torch.allclose(got, wanted, atol=1e-5)

    def march(origins: Tensor, directions: Tensor, bits: Tensor) -> tuple:
        s = kernels.march_rays(origins, directions, bits, 16, step_size=0.05, capacity=100)
        return *s[:4], torch.as_tensor(s.n_samples), torch.as_tensor(s.overflow)

    compiled_agrees(march, origins, directions, bits)

    def update(ema: Tensor, bits: Tensor, cells: Tensor, values: Tensor, *flat: Tensor) -> tuple:
        kernels.update_occupancy(ema, bits, cells, values, 0.9, 0.5, below_mean=True)
        kernels.adam_step(*flat, step=3, lr=0.1, row_size=4, skip_zero_rows=True)
        return ()

    flat = [torch.randn(64) for _ in range(3)] + [torch.rand(64)]
    compiled_agrees(update, torch.rand(512), torch.zeros(64, dtype=torch.uint8), torch.arange(9), torch.rand(9), *flat)


@pytest.mark.slow
def test_compile_without_graph_breaks() -> None:
    layout = small_layout()

    def step(p: Tensor, origins: Tensor, directions: Tensor, bits: Tensor) -> Tensor:
        samples = kernels.march_rays(origins, directions, bits, 16, step_size=0.05)
        rays = samples.ray_index.long()
        points = origins[rays] + samples.t[:, None] * directions[rays]
        features = kernels.hash_grid_encode(0.5 * points + 0.5, p, layout, 4)
        density, color = features.sum(-1).exp(), features[:, :3]
        image = kernels.composite(density, color, samples.t, samples.dt, samples.packed_info, stop=1e-4)
        return image.channels.sum() + image.opacity.sum()

    origins, directions = rays(40)
    bits = random_bits(16, 0.5)
    p = (0.1 * torch.randn(layout.n_params)).requires_grad_()
    wanted = step(p, origins, directions, bits)
    (gradient,) = torch.autograd.grad(wanted, p)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    got = compiled(p, origins, directions, bits)
    assert torch.allclose(got, wanted)
    assert torch.allclose(torch.autograd.grad(got, p)[0], gradient, atol=1e-6)
