"""Plumbing of the network on small random weights (they prove shapes and invariances, never quality)."""

import pytest
import torch
import torch.nn.functional as F

from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import (
    ABSENT,
    CLEAN,
    NOISY,
    DenoiserConfig,
    decode_rgba,
    encode_rgba,
    twice_as_large,
)
from nerf2mesh.types import Camera

SMALL = DenoiserConfig(
    image_size=16, channels=8, volume_size=8, volume_channels=8, deep_channels=16, n_deep=1, n_ray_samples=6
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = SMALL.build()
    for parameter in net.parameters():
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def frames(turn: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, FrameGeometry]:
    g = torch.Generator().manual_seed(1)
    camera = Camera.orbit(torch.tensor([[0.0, 90.0, 200.0]]) + turn, torch.tensor([[10.0, 0.0, 30.0]]), width_px=16)
    kind = torch.tensor([[CLEAN, NOISY, NOISY]])
    return torch.randn(1, 3, 4, 16, 16, generator=g), torch.tensor([0.3]), kind, FrameGeometry.of(camera)


def test_encoding_round_trip() -> None:
    images = torch.rand(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(decode_rgba(encode_rgba(images)), images)
    clear = encode_rgba(torch.zeros(4, 1, 1)).flatten()
    assert clear.tolist() == [0.0, 0.0, 0.0, -1.0], "nothing is mid-grey and transparent"


def test_world_azimuth_does_not_matter(network) -> None:
    with torch.no_grad():
        a, b = (network(*frames(turn)) for turn in (0.0, 77.0))
    torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


def test_hidden_frames_do_not_speak(network) -> None:
    images, level, kind, geometry = frames()
    kind = torch.where(kind == CLEAN, ABSENT, kind)
    other = images.clone()
    other[:, 0] = 7.0
    with torch.no_grad():
        a, b = (network(x, level, kind, geometry) for x in (images, other))
    torch.testing.assert_close(a, b)


def test_given_frame_is_seen_in_the_others(network) -> None:
    images, level, kind, geometry = frames()
    other = images.clone()
    other[:, 0] += 1.0
    with torch.no_grad():
        a, b = (network(x, level, kind, geometry) for x in (images, other))
    assert (a[:, 1:] - b[:, 1:]).abs().max() > 1e-4


def test_frames_that_are_only_read_change_no_other(network) -> None:
    with torch.no_grad():
        whole, rest = network(*frames()), network(*frames(), n_given=1)
    torch.testing.assert_close(rest, whole[:, 1:])


@pytest.mark.parametrize("size", [(1, 1), (4, 6)])
def test_convolution_of_doubled_pixels(size) -> None:
    g = torch.Generator().manual_seed(2)
    x, conv = torch.randn(2, 6, *size, generator=g), torch.nn.Conv2d(6, 4, 3, padding=1).double()
    plain = conv(F.interpolate(x.double(), scale_factor=2, mode="nearest"))
    truth = torch.autograd.grad(plain.sin().sum(), conv.parameters())
    fast = twice_as_large(x.double(), conv)
    torch.testing.assert_close(fast, plain)
    torch.testing.assert_close(torch.autograd.grad(fast.sin().sum(), conv.parameters()), truth)
    torch.testing.assert_close(twice_as_large(x.double(), torch.nn.Sequential(conv)), plain)


def test_gradients_reach_every_parameter(network) -> None:
    network(*frames()).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert silent == []


def test_words_say_nothing_at_first_and_something_once_learnt(network) -> None:
    reader = DenoiserConfig(**(SMALL.as_dict() | {"n_words": 5})).build().eval()
    reader.load_state_dict(reader.state_dict() | network.state_dict())
    words = torch.tensor([[3, 5, 0, 0]])
    with torch.no_grad():
        plain = network(*frames())
        assert torch.equal(reader(*frames(), words), plain), "the zero-initialized layer"
        torch.nn.init.normal_(reader.words.out.weight, std=0.5)
        told = reader(*frames(), words)
        assert (told - plain).abs().max() > 1e-3
        assert torch.equal(reader(*frames()), plain)
        assert torch.equal(reader(*frames(), 0 * words), plain), "filled up with nothing"
        torch.testing.assert_close(reader(*frames(), torch.tensor([[5, 3]])), told)
