import pytest
import torch

from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.priors.builtin.optimizer import Muon, MuonAdamW, orthogonalized

TINY = DenoiserConfig(
    image_size=16, patch=2, channels=16, volume_size=8, volume_channels=16, deep_channels=16, n_deep=1, n_ray_samples=8
)


def network_with_gradients(seed: int) -> torch.nn.Module:
    torch.manual_seed(0)
    network = TINY.build()
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return network


def test_inner_weights_move_by_orthogonal_steps_of_adamws_size() -> None:
    """Muon's first step on a matrix G = U S V^T is -lr * 0.2 sqrt(max(n, m)) * U V^T up to the iteration's error."""
    network = network_with_gradients(1)
    weight = network.deep[0].conv1.weight
    before, gradient = weight.detach().clone(), weight.grad.flatten(1).double()
    MuonAdamW(network, 1e-2).step()
    moved = (weight.detach() - before * (1 - 1e-2 * 0.01)).flatten(1).double() / -1e-2
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    wanted = 0.2 * max(gradient.shape) ** 0.5 * (u @ v)
    assert torch.nn.functional.cosine_similarity(moved.flatten(), wanted.flatten(), dim=0) > 0.97
    assert 0.68 < moved.norm() / wanted.norm() < 1.14, "the iteration leaves singular values in that range"


def test_every_parameter_moves_once_and_vectors_as_adamw_moves_them() -> None:
    network, twin = network_with_gradients(2), network_with_gradients(2)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = MuonAdamW(network, 1e-3)
    optimizer.step()
    assert all(not torch.equal(p, before[name]) for name, p in network.named_parameters())
    torch.optim.AdamW(twin.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.01).step()
    for name in ("stem.weight", "head.bias", "deep.0.film.weight", "place"):
        assert torch.equal(network.get_parameter(name), twin.get_parameter(name)), name
    optimizer.zero_grad()
    assert all(p.grad is None for p in network.parameters())


def test_continues_from_its_state_and_refuses_another() -> None:
    straight, resumed = network_with_gradients(3), network_with_gradients(3)
    first, second = MuonAdamW(straight, 1e-3), MuonAdamW(resumed, 1e-3)
    first.step()
    second.step()
    again = MuonAdamW(resumed, 1e-3)
    again.load_state_dict(second.state_dict())
    for p, q in zip(straight.parameters(), resumed.parameters(), strict=True):
        p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
    for optimizer in (first, again):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3
        optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(straight.parameters(), resumed.parameters(), strict=True))
    with pytest.raises(ValueError, match="made by another optimizer"):
        again.load_state_dict(torch.optim.AdamW(resumed.parameters()).state_dict())


def test_steps_are_those_of_torchs_muon(monkeypatch) -> None:
    """Two steps from the same gradients, wide, tall and square matrices among them; both iterate in bfloat16."""
    monkeypatch.setattr("nerf2mesh.priors.builtin.optimizer.fast_dtype", lambda *_: torch.bfloat16)
    torch.manual_seed(4)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in ((16, 40), (16, 40), (40, 16), (24, 24))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    mine = Muon(ours, 1e-2, weight_decay=0.01)
    other = torch.optim.Muon(theirs, 1e-2, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    for _ in range(2):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        before = [p.detach().clone() for p in ours]
        mine.step()
        other.step()
        for p, q, old in zip(ours, theirs, before, strict=True):
            assert (p - q).norm() < 0.02 * (q - old).norm(), "bfloat16 alone tells them apart"
    mine.load_state_dict(other.state_dict())
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.state[p]["momentum_buffer"], other.state[q]["momentum_buffer"])


def test_orthogonalized_matrices_are_those_of_the_singular_value_decomposition() -> None:
    matrices = torch.randn(3, 20, 64, generator=torch.Generator().manual_seed(5))
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.linalg.svdvals(orthogonalized(matrices))
    assert values.min() > 0.6 and values.max() < 1.25
    assert torch.nn.functional.cosine_similarity(orthogonalized(matrices).flatten(1), (u @ v).flatten(1)).min() > 0.97
