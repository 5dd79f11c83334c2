"""Convolutions by minimal filtering against torch's own in float64."""

import pytest
import torch
from torch import nn

from nerf2mesh.kernels import _lib, winograd

CASES = [(2, 3, 6, 16, 48), (2, 2, 12, 32, 16), (3, 2, 6, 16, 32), (3, 1, 2, 48, 16)]


def layer_and_input(n_dims: int, n: int, size: int, n_in: int, n_out: int):
    torch.manual_seed(0)
    layer = (winograd.Conv2d if n_dims == 2 else winograd.Conv3d)(n_in, n_out, 3, padding=1)
    return layer, torch.randn(n, n_in, *(size,) * n_dims)


def results(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x)
    return [y.detach(), *torch.autograd.grad(y.sin().sum(), [x, *layer.parameters()])]


@pytest.fixture(params=["scalar", "avx2", "avx512"])
def isa(request):
    library = _lib.cpu()
    if library is None:
        pytest.skip("no native library")
    best = library.n2m_cpu_isa()
    if library.n2m_set_isa(request.param.encode()):
        pytest.skip(f"no {request.param} here")
    yield request.param
    library.n2m_set_isa(best)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_float64(isa, case) -> None:
    layer, x = layer_and_input(*case)
    assert winograd._applies(layer, x, layer.weight)
    found = results(layer, x)
    truth = results(layer.double(), x.double())
    for mine, theirs in zip(found, truth, strict=True):
        assert mine.shape == theirs.shape
        assert (mine - theirs).abs().max() < 1e-5 * theirs.abs().max()


def test_layout_of_the_input_does_not_matter() -> None:
    layer, x = layer_and_input(*CASES[0])
    for mine, theirs in zip(results(layer, x), results(layer, winograd._channels_last(x)), strict=True):
        assert torch.equal(mine, theirs)


def test_threads_change_no_bit() -> None:
    layer, x = layer_and_input(2, 8, 12, 32, 32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = results(layer, x)
        torch.set_num_threads(3)
        three = results(layer, x)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one[:3], three[:3], strict=True))


@pytest.mark.parametrize(("size", "n_in"), [(5, 16), (4, 12)])
def test_other_shapes_are_left_to_torch(size, n_in) -> None:
    layer, x = layer_and_input(2, 1, size, n_in, 16)
    assert not winograd._applies(layer, x, layer.weight)
    torch.testing.assert_close(layer(x), nn.functional.conv2d(x, layer.weight, layer.bias, padding=1))
