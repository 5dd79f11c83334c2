"""Every loss finds the known ball without any picture, from an analytic prior (see `known` for why it is there).

The volume IoU is that of the level set at which the mesh would be cut, and of the ball; docs/losses.md has the table.
To print it: python -m tests.optimize.test_convergence
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nerf2mesh.distill import LOSSES, DistillConfig, settings_read
from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.extract.calibrate import calibrate, coarse_logits
from nerf2mesh.optimize import LAST, LoopState, Problem, optimize
from nerf2mesh.optimize.problem import prepare
from nerf2mesh.types import Observations
from tests.optimize.known import KnownPrior, volume_iou
from tests.optimize.scene import RADIUS, problem

STEPS = 300
COMMON = {"weight": 100.0, "n_views": 4, "guidance_scale": 1.5, "t_start": 0.95, "t_end": 0.7, "render_px": 0}
LATE = {"t_start": 0.4, "t_end": 0.15}
ADAPTED = {"t_start": 0.25, "t_end": 0.08, "guidance_scale": 1.0, "phi_learning_rate": 1e-2}
SETTINGS = {
    "sds": {},
    "sjc": LATE,
    "csd": LATE | {"weight": 200.0},
    "nfsd": LATE | {"guidance_scale": 7.5, "weight": 30.0},
    "ism": {"t_start": 0.7, "t_end": 0.3, "ism_interval": (0.05, 0.05)},
    "asd": LATE | {"guidance_scale": 7.5, "weight": 30.0},
    "sdi": {"guidance_scale": 8.5, "t_end": 0.3},
    "mv_sdi": {"loss": "sdi", "guidance_scale": 8.5, "t_end": 0.3, "antithetic": True},
    "vsd": ADAPTED,
    "bsd": ADAPTED | {"teacher_every": 20},
    "dds": {"guidance_scale": 1.0},
    "hifa": {"schedule": "sqrt", "t_end": 0.3},
    "x0": {"guidance_scale": 7.5, "guidance_rescale": 0.5},
    "rfds": {},
    "rfds_rev": {},
}
PRIORS = {
    "sdi": {"spread": {"conditional": 0.5, "negative": 0.55}},
    "mv_sdi": {"spread": {"conditional": 0.5, "negative": 0.55}},
    "rfds": {"kind": "flow"},
    "rfds_rev": {"kind": "flow"},
    "dds": {"spread": {"negative": 0.0}},
}
"""SDI inverts with negative guidance, which a prior that is certain of its answer would blow up."""


def known_run(case: str, steps: int = STEPS, **more) -> tuple[LoopState, Problem]:
    loss = SETTINGS[case].get("loss", case)
    read = {name: value for name, value in COMMON.items() if name in settings_read(loss, "linear")}
    settings = {"loss": loss} | read | SETTINGS[case] | more
    return problem(
        steps,
        prior=KnownPrior(**PRIORS.get(case, {})),
        views=Observations(),
        distill=DistillConfig(**settings),
        weight_orientation=0.0,
        weight_smoothness=0.0,
    )


def found_iou(state: LoopState, task: Problem, radius: float = RADIUS) -> float:
    renderer = task.renderer
    renderer.occupancy.bake_full(state.field, threshold=renderer.config.density_threshold)
    access = FieldAccess.of(state.field, renderer.occupancy, renderer)
    density = calibrate(access, coarse_logits(access, 48), n_views=6, size_px=48).density
    return volume_iou(state.field, radius, density)


def converged_iou(case: str, folder: Path) -> float:
    if case != "dds":
        state, task = known_run(case)
        optimize(state, task)
        return found_iou(state, task)
    state, task = known_run("sds")
    task.prior.radius = {"conditional": 1.2}
    optimize(state, task, folder=folder)
    assert found_iou(state, task) < 0.6, "the source is another object"
    state, task = known_run("dds", 2 * STEPS, source=str(folder / LAST))
    prepare(state, task)
    task.prior.portraits["negative"] = lambda cameras: task.source.render(cameras).rgba
    optimize(state, task)
    return found_iou(state, task)


@pytest.mark.slow
@pytest.mark.parametrize("case", SETTINGS)
def test_the_known_object_is_found(case: str, tmp_path: Path) -> None:
    assert converged_iou(case, tmp_path) > 0.9


def test_no_loss_is_left_out() -> None:
    assert set(LOSSES) <= set(SETTINGS)


if __name__ == "__main__":
    import sys
    import tempfile

    for case in sys.argv[1:] or SETTINGS:
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            iou = converged_iou(case, Path(folder))
        print(f"{case:9s} IoU {iou:.3f}   {time.process_time() - start:5.1f} s CPU", flush=True)
