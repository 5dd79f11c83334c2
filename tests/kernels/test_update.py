"""Occupancy update and the fused optimizer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nerf2mesh import kernels
from nerf2mesh.kernels import reference

from .compare import needs_native, relative_error


@pytest.mark.parametrize("below_mean", [False, True])
def test_occupancy_update_against_plain_python(below_mean: bool) -> None:
    """Decay 0.5 and values of a few binary digits: no rounding anywhere."""
    ema, bits = torch.randint(0, 64, (64,)) / 64.0, torch.zeros(8, dtype=torch.uint8)
    cells, values = torch.randint(0, 64, (40,)), torch.randint(0, 64, (40,)) / 64.0
    wanted = [x / 2 for x in ema.tolist()]
    for cell, value in zip(cells.tolist(), values.tolist()):
        wanted[cell] = max(wanted[cell], value)
    limit = min(0.6, sum(wanted) / 64) if below_mean else 0.6
    kernels.update_occupancy(ema, bits, cells, values, 0.5, 0.6, below_mean=below_mean)
    assert ema.tolist() == wanted
    assert [bits[i >> 3].item() >> (i & 7) & 1 for i in range(64)] == [int(x > limit) for x in wanted]


@needs_native
@pytest.mark.parametrize("below_mean", [False, True])
def test_occupancy_update_against_the_twin(below_mean: bool) -> None:
    ema, bits = torch.rand(16**3), torch.zeros(16**3 // 8, dtype=torch.uint8)
    cells, values = torch.randint(0, 16**3, (3000,)), torch.rand(3000) * 1.5
    twin_ema, twin_bits = ema.clone(), bits.clone()
    kernels.update_occupancy(ema, bits, cells, values, 0.9, 0.7, below_mean=below_mean)
    reference.update_occupancy(twin_ema, twin_bits, cells, values, 0.9, 0.7, below_mean=below_mean)
    assert torch.equal(ema, twin_ema) and torch.equal(bits, twin_bits)
    limit = min(0.7, ema.mean().item()) if below_mean else 0.7
    assert (bits[5].item() >> 3) & 1 == int(ema[43] > limit)


def test_occupancy_update_refuses_cells_outside() -> None:
    ema, bits = torch.rand(64), torch.zeros(8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="cells: expected indices from 0 to 63, got -1 to 2"):
        kernels.update_occupancy(ema, bits, torch.tensor([-1, 2]), torch.rand(2), 0.9, 0.5)
    kernels.update_occupancy(ema, bits, torch.zeros(0, dtype=torch.int64), torch.zeros(0), 0.0, 0.5)
    assert not ema.any() and not bits.any()


def state(n: int, share: float = 1.0, row: int = 1) -> list[Tensor]:
    touched = (torch.rand(n // row) < share).repeat_interleave(row)
    return [torch.randn(n), torch.randn(n) * touched, torch.randn(n), torch.rand(n)]


@needs_native
@pytest.mark.parametrize("n", [0, 1, 15, 4099, 70_000])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adam_step_against_the_twin(n: int, weight_decay: float) -> None:
    single = state(n)
    double = [x.double() for x in single]
    options = {"step": 3, "lr": 0.1, "weight_decay": weight_decay, "grad_scale": 0.5, "eps": 1e-8, "zero_grad": True}
    kernels.adam_step(*single, **options)
    reference.adam_step(*double, **options)
    for got, wanted in zip(single, double):
        assert relative_error(got, wanted) < 1e-5


@pytest.mark.parametrize("row", [1, 2, 4, 8])
def test_adam_leaves_untouched_rows_alone(row: int) -> None:
    before = state(4096, 0.3, row)
    before[1][:row] = -0.0
    after = [x.clone() for x in before]
    kernels.adam_step(*after, step=5, lr=0.1, weight_decay=0.1, row_size=row, skip_zero_rows=True)
    untouched = ~(before[1].view(-1, row) != 0).any(-1).repeat_interleave(row)
    assert 0 < untouched.sum() < 4096
    for old, new in zip(before, after):
        assert torch.equal(old[untouched], new[untouched])
    assert (before[0] != after[0])[~untouched].all()


@pytest.mark.parametrize("row", [1, 2, 4, 8])
def test_skipping_rows_changes_nothing_else(row: int) -> None:
    """Touched rows get the bits of a step without skipping; NaN and the smallest number count as a gradient."""
    torch.set_num_threads(3)
    before = state(8 * 9001, 0.2, row)
    before[1][row * 7], before[1][row * 70 + row - 1] = float("nan"), 1e-45
    dense, sparse = ([x.clone() for x in before] for _ in range(2))
    options = {"step": 5, "lr": 0.1, "eps": 1e-8, "weight_decay": 0.1, "row_size": row}
    kernels.adam_step(*dense, **options)
    kernels.adam_step(*sparse, **options, skip_zero_rows=True, zero_grad=True)
    touched = (before[1].view(-1, row) != 0).any(-1).repeat_interleave(row)
    assert touched[row * 7] and touched[row * 70] and not touched.all()
    for i in (0, 2, 3):
        wanted = torch.where(touched, dense[i], before[i])
        assert torch.equal(sparse[i].view(torch.int32), wanted.view(torch.int32))
    assert not sparse[1].any()


def test_fused_adam_follows_adamw() -> None:
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))
    twin = copy.deepcopy(model)
    groups = [
        [{"params": m[0].parameters(), "lr": 0.02}, {"params": m[2].parameters(), "weight_decay": 0.3}]
        for m in (model, twin)
    ]
    options = {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.01}
    fused, plain = kernels.FusedAdam(groups[0], **options), torch.optim.AdamW(groups[1], **options)
    for step in range(12):
        x = torch.randn(8, 5)
        for net, optimizer in ((model, fused), (twin, plain)):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
        if step == 5:  # their states can be exchanged
            fused.load_state_dict(copy.deepcopy(fused.state_dict()))
    for a, b in zip(model.parameters(), twin.parameters()):
        assert relative_error(a.detach(), b.detach()) < 1e-5


def test_adam_refuses() -> None:
    p, g, m, v = state(8)
    with pytest.raises(ValueError, match="grad: expected the shape"):
        kernels.adam_step(p, g[:4], m, v, step=1, lr=0.1)
    with pytest.raises(ValueError, match="param: expected contiguous memory"):
        kernels.adam_step(torch.randn(16)[::2], g, m, v, step=1, lr=0.1)
    with pytest.raises(ValueError, match="step: expected a count from 1"):
        kernels.adam_step(p, g, m, v, step=0, lr=0.1)
    with pytest.raises(ValueError, match="row_size: expected a divisor of 8"):
        kernels.adam_step(p, g, m, v, step=1, lr=0.1, row_size=3)
    for name in ("lr", "eps", "weight_decay", "grad_scale"):
        with pytest.raises(ValueError, match=f"{name}: expected a finite number, got nan"):
            kernels.adam_step(p, g, m, v, **{"step": 1, "lr": 0.1, name: float("nan")})
    for bad, message in ((torch.zeros(4).double(), "expected float32"), (torch.zeros(4, 4).T[1:], "contiguous")):
        bad.requires_grad_().grad = torch.ones_like(bad)
        with pytest.raises(ValueError, match=f"params: .*{message}"):
            kernels.FusedAdam([bad]).step()
    with pytest.raises(ValueError, match="betas"):
        kernels.FusedAdam([torch.zeros(2, requires_grad=True)], betas=(1.0, 0.9))
