"""Hash-grid encoding: an oracle in plain Python integers, the torch twin, first and second derivatives."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, _lib, reference

from .compare import assert_same_support, needs_native, relative_error, small_layout

SHAPES = [(d, f, i) for d in (2, 3) for f in (1, 2, 4, 8) for i in ("linear", "smoothstep")]


def encode_one(point: list[float], params: Tensor, layout: GridLayout, level: int) -> list[float]:
    """One level of one point, written from the paper with Python's integers and doubles."""
    table = params.view(-1, layout.n_features)[layout.offsets[level] : layout.offsets[level + 1]].tolist()
    cells, fractions = [], []
    for x in point:
        place = x * layout.scales[level] + 0.5
        cells.append(math.floor(place))
        t = place - math.floor(place)
        fractions.append(t * t * (3 - 2 * t) if layout.smoothstep else t)
    total = [0.0] * layout.n_features
    for corner in range(2**layout.n_dims):
        steps = [(corner >> d) & 1 for d in range(layout.n_dims)]
        at = [(c + s) % 2**32 for c, s in zip(cells, steps)]
        if layout.resolutions[level] ** layout.n_dims > 2**layout.log2_table_size:
            index = 0
            for a, prime in zip(at, (1, 2654435761, 805459861)):
                index ^= a * prime % 2**32
        else:
            index = sum(a * layout.resolutions[level] ** d for d, a in enumerate(at)) % 2**32
        weight = math.prod(f if s else 1 - f for f, s in zip(fractions, steps))
        for i, value in enumerate(table[index % layout.sizes[level]]):
            total[i] += weight * value
    return total


def draw(layout: GridLayout, n: int = 333, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Points a little beyond [0, 1] too, and parameters."""
    points = torch.rand(n, layout.n_dims) * 1.4 - 0.2
    points[:4] = torch.tensor([0.0, 1.0, 0.5, 1e-8])[:, None]
    return points.to(dtype), torch.randn(layout.n_params).to(dtype)


@pytest.mark.parametrize(("n_dims", "n_features", "interpolation"), SHAPES)
def test_against_plain_python(n_dims: int, n_features: int, interpolation: str) -> None:
    layout = small_layout(n_dims=n_dims, n_features=n_features, interpolation=interpolation)
    points, params = draw(layout, 40)
    out = kernels.hash_grid_encode(points, params, layout)
    for level in range(layout.n_levels):
        wanted = torch.tensor([encode_one(p, params, layout, level) for p in points.tolist()])
        assert relative_error(out[:, level * n_features : (level + 1) * n_features], wanted) < 2e-5


def derivatives(module, points: Tensor, params: Tensor, layout: GridLayout) -> dict[str, Tensor]:
    """Values, first and second derivatives, and everything about the Jacobian-vector product."""
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(len(points), layout.n_outputs, generator=generator).to(points.dtype)
    tangent = torch.randn(points.shape, generator=generator).to(points.dtype).requires_grad_()
    points, params = points.clone().requires_grad_(), params.clone().requires_grad_()
    out = module.hash_grid_encode(points, params, layout)
    to_points, to_params = torch.autograd.grad((out * weight).sum(), (points, params), create_graph=True)
    second = torch.autograd.grad((to_points * tangent.detach()).sum(), (points, params))
    value, along = module.hash_grid_jvp(points, params, tangent, layout)
    jvp = torch.autograd.grad((value * weight + along * weight.flip(0)).sum(), (points, params, tangent))
    names = ("out", "dx", "dp", "dxdx", "dxdp", "jvp value", "jvp", "jvp dx", "jvp dp", "jvp dv")
    return dict(zip(names, (out, to_points, to_params, *second, value, along, *jvp)))


@needs_native
@pytest.mark.parametrize(("n_dims", "n_features", "interpolation"), SHAPES)
def test_every_derivative_against_the_twin(n_dims: int, n_features: int, interpolation: str) -> None:
    layout = small_layout(n_dims=n_dims, n_features=n_features, interpolation=interpolation)
    points, params = draw(layout)
    native = derivatives(kernels, points, params, layout)
    twin = derivatives(reference, points, params, layout)
    for name, wanted in twin.items():
        assert relative_error(native[name], wanted) < 1e-5, name
    assert_same_support(native["dp"], twin["dp"])


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
def test_gradcheck_of_the_twin(interpolation: str) -> None:
    layout = small_layout(
        n_levels=2, base_resolution=2, per_level_scale=1.8, log2_table_size=4, interpolation=interpolation
    )
    _, params = draw(layout, 4, torch.float64)
    points = (0.1 + 0.8 * torch.rand(2, 3, dtype=torch.float64)).requires_grad_()
    params.requires_grad_()
    encode = partial(reference.hash_grid_encode, layout=layout)
    assert torch.autograd.gradcheck(encode, (points, params), eps=1e-7, atol=1e-5)
    assert torch.autograd.gradgradcheck(encode, (points, params), eps=1e-7, atol=1e-4)
    jvp = partial(reference.hash_grid_jvp, layout=layout)
    tangent = torch.randn_like(points).requires_grad_()
    assert torch.autograd.gradcheck(jvp, (points, params, tangent), eps=1e-7, atol=1e-4)


def test_spatial_gradient_as_a_forward_operator() -> None:
    layout = small_layout(interpolation="smoothstep")
    points, params = draw(layout)
    cotangent = torch.randn(len(points), layout.n_outputs)
    x = points.clone().requires_grad_()
    (wanted,) = torch.autograd.grad((reference.hash_grid_encode(x, params, layout) * cotangent).sum(), x)
    inputs = [t.clone().requires_grad_() for t in (points, params, cotangent)]
    got = kernels.hash_grid_vjp(*inputs, layout)
    assert relative_error(got, wanted) < 1e-5
    # <u, J^T c> = <c, J u>: its gradient to the cotangent is the Jacobian-vector product.
    u = torch.randn_like(points)
    (to_cotangent,) = torch.autograd.grad((got * u).sum(), inputs[2])
    assert relative_error(to_cotangent, kernels.hash_grid_jvp(points, params, u, layout)[1]) < 1e-5


def test_spatial_gradient_in_inference_mode() -> None:
    layout = small_layout()
    points, params = draw(layout)
    cotangent = torch.randn(len(points), layout.n_outputs)
    wanted = kernels.hash_grid_vjp(points, params, cotangent, layout)
    wanted_along = kernels.hash_grid_jvp(points, params, points, layout)[1]
    with torch.inference_mode():
        inside = points.clone()
        got = kernels.hash_grid_vjp(inside, params, cotangent.clone(), layout)
        along = kernels.hash_grid_jvp(inside, params, inside, layout)[1]
    assert torch.equal(got, wanted) and torch.equal(along, wanted_along)


@pytest.mark.parametrize("n_active", [0, 1, 3])
def test_inactive_levels_are_zero_and_get_no_gradient(n_active: int) -> None:
    layout = small_layout()
    points, params = draw(layout)
    params.requires_grad_()
    out = kernels.hash_grid_encode(points, params, layout, n_active)
    full = kernels.hash_grid_encode(points, params, layout)
    columns = n_active * layout.n_features
    assert torch.equal(out[:, :columns], full[:, :columns]) and not out[:, columns:].any()
    (gradient,) = torch.autograd.grad(out.sum(), params)
    assert not gradient[layout.offsets[n_active] * layout.n_features :].any()
    assert n_active == 0 or gradient.any()


@pytest.mark.parametrize("n_features", [1, 2, 4, 8])
def test_float16_storage_sums_in_float32(n_features: int) -> None:
    layout = small_layout(n_features=n_features)
    points, params = draw(layout)
    params = torch.cat([params[2:], torch.tensor([6e-8, 65504.0])]).half().requires_grad_()
    points.requires_grad_()
    out = kernels.hash_grid_encode(points, params, layout)
    exact = params.detach().float().requires_grad_()
    wanted = kernels.hash_grid_encode(points, exact, layout)
    assert out.dtype == torch.float32 and torch.equal(out, wanted)
    got, same = (torch.autograd.grad(o.square().sum(), (points, p)) for o, p in ((out, params), (wanted, exact)))
    assert torch.equal(got[0], same[0])
    assert got[1].dtype == torch.float16 and torch.equal(got[1], same[1].half())


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_instruction_sets_agree(isa: str) -> None:
    library = _lib.cpu()
    if library is None:
        pytest.skip("no native library")
    best = library.n2m_cpu_isa()
    layout = small_layout(n_features=4, interpolation="smoothstep")
    points, params = draw(layout)
    wanted = derivatives(kernels, points, params, layout)
    if library.n2m_set_isa(isa.encode()):
        pytest.skip(f"no {isa} here")
    try:
        got = derivatives(kernels, points, params, layout)
    finally:
        library.n2m_set_isa(best)
    for name, value in wanted.items():
        assert relative_error(got[name], value) < 1e-5, name


def test_views_and_empty_batches() -> None:
    layout = small_layout()
    points, params = draw(layout)
    wanted = kernels.hash_grid_encode(points, params, layout)
    assert torch.equal(kernels.hash_grid_encode(points.T.contiguous().T, params, layout), wanted)
    padded = torch.stack([params, params], dim=1)[:, 0]
    assert not padded.is_contiguous()
    assert torch.equal(kernels.hash_grid_encode(points, padded, layout), wanted)
    nothing, params = points[:0].clone().requires_grad_(), params.clone().requires_grad_()
    out = kernels.hash_grid_encode(nothing, params, layout)
    assert out.shape == (0, layout.n_outputs)
    out.sum().backward()
    assert nothing.grad.shape == (0, 3) and not params.grad.any()


def test_points_far_outside_wrap_around() -> None:
    layout = small_layout()
    _, params = draw(layout)
    points = torch.tensor([[-3.7, 8.2, 0.4], [100.3, -1000.25, 7.0], [-1.0, -0.01, 1.01]])
    out = kernels.hash_grid_encode(points, params.requires_grad_(), layout)
    for level in range(layout.n_levels):
        wanted = torch.tensor([encode_one(p, params, layout, level) for p in points.tolist()])
        assert relative_error(out.detach()[:, 2 * level : 2 * level + 2], wanted) < 2e-3  # cells of 1e5, in float32
    (gradient,) = torch.autograd.grad(out.sum(), params)
    shares = torch.stack([part.sum() for part in gradient.split([size * 2 for size in layout.sizes])])
    assert torch.allclose(shares, torch.full_like(shares, 6.0), atol=1e-4), (
        "weights of a point sum to one on every level"
    )


def test_points_that_are_no_number_touch_nothing_else() -> None:
    """The neighbours in a batch keep their bits, and a wild point never gives an innocent number."""
    layout = small_layout(n_features=4)
    points, params = draw(layout, 64)
    wanted = kernels.hash_grid_encode(points, params, layout)
    wild = torch.tensor([[math.inf, 0.0, 0.0], [math.nan, 0.1, 0.2], [0.5, -math.inf, 1e30]])
    mixed = torch.cat([points[:30], wild, points[30:]]).requires_grad_()
    out = kernels.hash_grid_encode(mixed, params.requires_grad_(), layout)
    assert torch.equal(torch.cat([out[:30], out[33:]]), wanted)
    assert not torch.isfinite(out[30:33]).any()
    weight = torch.ones_like(out)
    to_points, to_params = torch.autograd.grad((out * weight).sum(), (mixed, params))
    assert torch.isfinite(torch.cat([to_points[:30], to_points[33:]])).all()
    assert to_params.shape == params.shape


@pytest.mark.parametrize(
    ("points", "params", "message"),
    [
        (
            torch.rand(5, 2),
            torch.zeros(small_layout().n_params),
            r"points: expected the shape \[any, 3\], got \[5, 2\]",
        ),
        (torch.rand(5, 3).double(), torch.zeros(small_layout().n_params), "points: expected float32, got float64"),
        (torch.rand(5, 3), torch.zeros(7), "params: expected the shape"),
        (
            torch.rand(5, 3),
            torch.zeros(small_layout().n_params, dtype=torch.bfloat16),
            "params: expected float32 or float16",
        ),
        (
            torch.rand(5, 3),
            torch.zeros(small_layout().n_params, device="meta"),
            "params: expected the other tensors' device cpu",
        ),
        ([0.5, 0.5, 0.5], torch.zeros(small_layout().n_params), "points: expected a tensor, got list"),
    ],
)
def test_refuses(points: object, params: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.hash_grid_encode(points, params, small_layout())


def test_twin_adds_up_in_one_order_on_several_threads() -> None:
    layout = small_layout()
    points = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)) * 0.01
    params = torch.zeros(layout.n_params, requires_grad=True)
    upstream = torch.randn(len(points), layout.n_levels * layout.n_features, generator=torch.Generator().manual_seed(1))
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        outputs = [reference.hash_grid_encode(points, params, layout) for _ in range(6)]
        gradients = [torch.autograd.grad(output, params, upstream)[0] for output in outputs]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(gradients[0], gradient) for gradient in gradients)
