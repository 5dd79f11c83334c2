"""What changes with the step: number of views and their side, weights of terms, levels of the hash grid."""

from __future__ import annotations

import pytest
import torch

from nerf2mesh.distill import DistillConfig
from nerf2mesh.optimize import OptimizeConfig, optimize
from nerf2mesh.optimize.schedules import active_levels
from nerf2mesh.optimize.views import distillation_cameras
from nerf2mesh.types import Camera, Observations
from tests.optimize.known import KnownPrior
from tests.optimize.scene import problem

STAGES = {"milestones": (0.25, 0.5), "milestone_views": (8, 4), "milestone_px": (8, 12)}


def test_views_and_their_side_change_at_the_milestones() -> None:
    """At a quarter and at half of the steps, as the authors' resolution_milestones count: from that step on."""
    config = DistillConfig(n_views=2, render_px=16, **STAGES)
    found = [(now.n_views, now.render_px) for now in (config.at(step / 8) for step in range(8))]
    assert found == [(8, 8)] * 2 + [(4, 12)] * 2 + [(2, 16)] * 4
    assert config.at(0.9) is config
    assert DistillConfig(n_views=2, milestones=(0.5,), milestone_px=(8,)).at(0.0).n_views == 2


def test_the_loop_asks_the_prior_for_as_many_views() -> None:
    """Four steps on a prior of four views together: two rings of four at first, then one."""
    config = DistillConfig(n_views=4, milestones=(0.5,), milestone_views=(8,), milestone_px=(8,), guidance_scale=2.0)
    prior, seen = KnownPrior(12), []
    prior.n_views, known = 4, prior.predict

    def predict(noisy, t, cameras, condition, **more):
        seen.append((tuple(noisy.shape[:2]), tuple(t.shape), cameras.elevation_deg))
        return known(noisy, t, cameras, condition, **more)

    prior.predict = predict
    state, task = problem(4, prior=prior, views=Observations(), distill=config)
    optimize(state, task)
    shapes = [shape for shape, _, _ in seen]
    assert shapes == [(2, 4)] * 4 + [(1, 4)] * 4
    assert [t for _, t, _ in seen] == [(2,)] * 4 + [(1,)] * 4
    elevation = seen[0][2]
    torch.testing.assert_close(elevation, elevation[:, :1].expand(2, 4), atol=1e-3, rtol=0)
    assert abs(float(elevation[0, 0] - elevation[1, 0])) > 0.1, "each ring has its own elevation"


def test_one_ring_is_what_it_was_and_two_have_turns_of_their_own() -> None:
    reference = Camera.orbit(0.0, 10.0)
    one = distillation_cameras(DistillConfig(n_views=4), reference, 8, torch.Generator().manual_seed(0), ring=4)
    two = distillation_cameras(DistillConfig(n_views=8), reference, 8, torch.Generator().manual_seed(0), ring=4)
    assert one.batch_shape == (1, 4) and two.batch_shape == (2, 4)
    steps = torch.remainder(two.azimuth_deg.roll(-1, 1) - two.azimuth_deg, 360.0)
    torch.testing.assert_close(steps, torch.full((2, 4), 90.0), atol=1e-3, rtol=0)
    assert abs(float(two.azimuth_deg[0, 0] - two.azimuth_deg[1, 0])) > 1e-2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"milestones": (0.5, 0.2)}, "milestones: expected rising"),
        ({"milestones": (0.5,), "milestone_views": (8, 4)}, "milestone_views: expected 1 whole numbers"),
        ({"milestones": (0.5,), "milestone_px": (4,)}, "milestone_px.*: expected an integer of 8 to"),
        ({"milestone_views": (8,)}, "milestone_views: expected 0"),
        ({"milestones": (0.5,), "milestone_views": (3,), "antithetic": True, "n_views": 2}, "even numbers"),
    ],
)
def test_milestones_that_fit_nothing_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DistillConfig(**settings)


def test_weights_move_between_their_shares() -> None:
    """threestudio's lambda_orient [0, 10, 1000, 5000] of 10000 steps, and a step from 1 to 20 in the middle."""
    config = OptimizeConfig(
        ramps={"weight_orientation": [0.0, 10.0, 1000.0, 0.5], "weight_mask": [0.5, 1.0, 20.0, 0.5]}
    )
    found = [config.at(share).weight_orientation for share in (0.0, 0.25, 0.5, 0.9)]
    assert found == pytest.approx([10.0, 505.0, 1000.0, 1000.0])
    assert [config.at(share).weight_mask for share in (0.0, 0.4999, 0.5001)] == pytest.approx([1.0, 1.0, 20.0])
    plain = OptimizeConfig()
    assert plain.at(0.3) is plain
    with pytest.raises(ValueError, match="expected names among weight_color"):
        OptimizeConfig(ramps={"weight": [0.0, 1.0, 2.0, 1.0]})
    with pytest.raises(ValueError, match=r"ramps\.weight_mask: expected \[begin"):
        OptimizeConfig(ramps={"weight_mask": [0.5, 1.0, 2.0, 0.1]})


def test_levels_wait_and_then_come_at_equal_intervals() -> None:
    """threestudio: start_level 8 + (step - 2000) // 500 of 16 levels; here 2 of 6 levels, from step 20 on, every 5."""
    state, task = problem(100, levels_from=0.2, levels_full_at=0.4)
    state.field.config.start_levels = 2
    found = []
    for state.step in (0, 19, 24, 25, 30, 39, 40, 99):
        found.append(active_levels(state, task))
    assert found == [2, 2, 2, 3, 4, 5, 6, 6]
    with pytest.raises(ValueError, match="levels_from: expected 0 to levels_full_at"):
        OptimizeConfig(levels_from=0.7)
