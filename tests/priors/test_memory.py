"""The prediction of memory: exact where it can be, and equal to what is alive when the step really runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nerf2mesh.priors.foundation.memory import (
    GIB,
    LiveBytes,
    MemoryPrediction,
    compared,
    parameter_bytes,
    parts_of,
    predict_memory,
)
from tests.priors.conftest import Models, four_cameras, noisy_latents


@pytest.mark.parametrize("kind", ["sd", "sdxl", "flux", "imagedream"])
def test_weights_are_counted_exactly(models: Models, kind: str) -> None:
    prior, _ = models.shared(kind)
    by_hand = sum(p.numel() * p.element_size() for part in parts_of(prior).values() for p in part.parameters())
    by_hand += sum(b.numel() * b.element_size() for part in parts_of(prior).values() for b in part.buffers())
    assert parameter_bytes(parts_of(prior).values()) == by_hand
    half = models.prior(kind, precision="bfloat16")
    weights = sum(p.numel() for part in parts_of(half).values() for p in part.parameters())
    kept = sum(b.numel() * b.element_size() for part in parts_of(half).values() for b in part.buffers())
    upcast = sum(2 * p.numel() for m in parts_of(half).values() for p in m.parameters() if p.dtype == torch.float32)
    assert parameter_bytes(parts_of(half).values()) == 2 * weights + kept + upcast


def test_live_bytes_of_a_chain() -> None:
    """Two layers of 100 x 10 float32: input (given), first result, second result; then the first goes."""
    net = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10))
    x = torch.zeros(100, 10)
    with torch.no_grad(), LiveBytes([*net.parameters(), x]) as live:
        y = net(x)
    assert live.peak == 2 * 4000 and live.live == 4000 and y.shape == (100, 10)
    with LiveBytes([*net.parameters(), x]) as live:
        y = net(x)
        kept = live.live
    assert kept == 2 * 4000, "autograd keeps the ReLU's result"


@pytest.mark.parametrize("kind", ["sd", "sd3", pytest.param("mvdream", marks=pytest.mark.slow)])
def test_prediction_is_what_is_alive_in_a_real_step(models: Models, kind: str) -> None:
    """The same count on real tensors: the prediction differs by what attention needs on this device."""
    prior, condition = models.shared(kind)
    predicted = predict_memory(prior, condition, n_views=4, n_branches=1)
    known = [t for m in parts_of(prior).values() for t in (*m.parameters(), *m.buffers())]
    noisy, t = noisy_latents(prior), torch.tensor([0.5])
    with torch.no_grad(), LiveBytes([*known, noisy]) as live:
        prior.predict(noisy, t, four_cameras(), condition)
    assert predicted.network == pytest.approx(live.peak, rel=0.25)
    images = torch.rand(1, 4, 16, 16, 4, requires_grad=True)
    with LiveBytes([*known, images]) as live:
        latents = prior.encode(images)
        kept = live.live
        latents.sum().backward()
    assert predicted.encode_kept == pytest.approx(kept, rel=0.1)
    assert predicted.encode_peak == pytest.approx(live.peak, rel=0.25)


def test_more_rows_more_memory_and_checkpointing_saves(models: Models) -> None:
    prior, condition = models.shared("sd")
    two, four = (predict_memory(prior, condition, n_views=4, n_branches=n) for n in (2, 4))
    assert four.network > 1.8 * two.network and four.weights == two.weights
    plain = models.prior("sd", checkpointing=False)
    kept = predict_memory(plain, condition, n_views=4)
    assert kept.encode_kept > 2 * two.encode_kept
    field = nn.Linear(1000, 1000, bias=False)
    assert predict_memory(prior, condition, n_views=4, field=field).field == 4 * 4_000_000
    before = [p.device.type for p in prior.network.parameters()]
    assert set(before) == {"cpu"}, "the prior itself is as it was"


def test_lines() -> None:
    prediction = MemoryPrediction(2 * GIB, GIB // 2, GIB // 4, GIB, GIB // 10)
    assert prediction.total == 2 * GIB + GIB // 10 + GIB
    assert prediction.line().startswith(
        "memory predicted: 3.10 GiB (weights 2.00, network 0.50, encoder 1.00, field 0.10"
    )
    assert compared(prediction, "cpu") is None
