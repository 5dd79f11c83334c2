"""What a step of each loss takes with the built-in prior: `python -m benchmarks loss_time [--preset preview]`.

Processor seconds of one thread from the difference of two runs on the demo picture, one of `--short` and one of
`--long` steps: what a run takes before and after its loop cancels. On a busy machine take more steps. The last column
is what `sweep.ablation.step_cost` should say.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import nerf2mesh
from nerf2mesh.distill.config import LOSSES
from nerf2mesh.inputs import demo_picture

SMALL = (
    *("report=quiet", "lora.steps=0", "threads=1", "overwrite=true", "optimize.checkpoint_every=1000"),
    *("mesh.resolution=24", "mesh.target_faces=200", "mesh.texture_size=64", "mesh.calibration_views=2"),
    *("mesh.bake_views=0", "mesh.bake_fit_views=0", "mesh.bake_samples=2", "mesh.calibration_resolution=24"),
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loss_time", description=__doc__)
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--short", type=int, default=2)
    parser.add_argument("--long", type=int, default=10)
    parser.add_argument("--losses", nargs="+", default=[name for name in LOSSES if name != "dds"])
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    seconds("sds", args.preset, 1)  # what only the first run of a process takes
    found: dict[str, float] = {}
    print("| loss | processor seconds a step | over that of sds |\n|---|---|---|")
    for loss in dict.fromkeys(["sds", *args.losses]):
        times = [seconds(loss, args.preset, steps) for steps in (args.short, args.long)]
        found[loss] = (times[1] - times[0]) / (args.long - args.short)
        print(f"| {loss} | {found[loss]:.3f} | {found[loss] / found['sds']:.2f} |", flush=True)
    return 0


def seconds(loss: str, preset: str, steps: int) -> float:
    """Processor seconds of a whole run of so many steps."""
    settings = [f"preset={preset}", *SMALL, f"distill.loss={loss}", f"optimize.steps={steps}"]
    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        nerf2mesh.fit(demo_picture(), overrides=settings, output_dir=Path(folder) / "run")
        return time.process_time() - before


if __name__ == "__main__":
    raise SystemExit(main())
