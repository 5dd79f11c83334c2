"""VSD's adapter: it learns, and outside of its own predictions it is not there."""

from __future__ import annotations

import torch

from nerf2mesh.distill import DistillConfig
from nerf2mesh.lora import adapters
from nerf2mesh.optimize import step
from nerf2mesh.optimize.distillers import make_distiller
from nerf2mesh.optimize.distillers.learner import AdapterLearner
from nerf2mesh.optimize.distillers.variational import PHI
from nerf2mesh.types import Observations
from tests.distill.gaussian import GaussianPrior, generators, guidance_inputs
from tests.optimize.known import KnownPrior
from tests.optimize.scene import problem

CONFIG = DistillConfig(loss="vsd", guidance_scale=2.0, phi_learning_rate=1e-2)


def test_phi_learns_and_the_base_stays_bit_equal() -> None:
    prior = GaussianPrior("v")
    q = guidance_inputs(prior, CONFIG, 1)
    before = q.predict(q.latents, q.time, "conditional")["conditional"].clone()
    distiller = make_distiller(prior, CONFIG, q.generators)
    first = distiller(q).latents
    start = [p.clone() for p in distiller.phi.weights.values()]
    losses = [float(distiller.learn(q)["distill/phi"]) for _ in range(40)]
    moved = [float((a - b).abs().max()) for a, b in zip(start, distiller.phi.weights.values(), strict=True)]
    assert min(moved) > 0.0, "both halves of the adapter learn"
    assert sum(losses[-10:]) < sum(losses[:10])
    after = q.predict(q.latents, q.time, "conditional")["conditional"]
    assert torch.equal(before, after)
    with adapters.using(prior.network, {}):
        assert torch.equal(before, q.predict(q.latents, q.time, "conditional")["conditional"])
    q.generators.update(generators())
    assert not torch.equal(distiller(q).latents, first)
    assert not any(p.requires_grad for p in prior.network.parameters())


def test_gradients_reach_phi_and_nothing_else() -> None:
    """Also with another adapter in the stack, and after someone else has switched learning off."""
    prior = GaussianPrior("epsilon")
    adapters.attach(prior.network, "style0", 2)
    adapters.stack(prior.network, {"style0": 0.5})
    torch.nn.init.normal_(prior.network.out.lora_B["style0"].weight, std=0.3)
    q = guidance_inputs(prior, CONFIG, 1)
    styled = q.predict(q.latents, q.time, "conditional")["conditional"].clone()
    learner = AdapterLearner(prior, PHI, 2, 1e-2, q.generators["phi"], sees_cameras=True)
    assert adapters.stacked(prior.network) == {"style0": 0.5}
    with learner.active():
        assert adapters.stacked(prior.network) == {"style0": 0.5, PHI: 1.0}
        assert torch.equal(styled, q.predict(q.latents, q.time, "conditional")["conditional"]), "phi starts at zero"
    style = prior.network.out.lora_B["style0"].weight.clone()
    prior.network.requires_grad_(False)
    seen = []
    for name, parameter in learner.weights.items():
        hook = lambda g, name=name: seen.append((name, float(g.norm())))
        parameter.requires_grad_(True).register_hook(hook)
        parameter.requires_grad_(False)
    for _ in range(2):
        learner.train(q, q.latents, q.generators["phi"], camera_dropout=0.0)
    assert {name for name, norm in seen if norm > 0.0} == set(learner.weights)
    assert torch.equal(style, prior.network.out.lora_B["style0"].weight)
    assert torch.equal(styled, q.predict(q.latents, q.time, "conditional")["conditional"])


def test_a_new_run_on_the_same_prior_starts_phi_anew() -> None:
    prior, weights = KnownPrior(8), []
    for _ in range(2):
        state, task = problem(2, prior=prior, views=Observations(), distill=DistillConfig(loss="vsd", n_views=2))
        state.field.train()
        numbers = step(state, task)
        assert numbers["distill/phi"] > 0.0
        weights.append({k: p.detach().clone() for k, p in state.parts["distiller"].phi.weights.items()})
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


def test_the_network_own_numbers_are_never_touched() -> None:
    prior = KnownPrior(8)
    state, task = problem(2, prior=prior, views=Observations(), distill=DistillConfig(loss="bsd", n_views=2))
    state.field.train()
    for _ in range(2):
        step(state, task)
    assert not bool(prior.network.out.base_layer.weight.any())
