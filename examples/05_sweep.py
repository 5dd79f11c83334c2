"""A sweep over two settings: `python examples/05_sweep.py [SETTING ...]`.

Each combination has a run folder of its own, so that the same command continues where it was stopped. On the command
line: `nerf2mesh -m input.image=cup.png distill.weight=30,100 distill.n_views=2,3`. For many objects, seeds and workers
there is `nerf2mesh-bench`: docs/sweeps.md.
"""

from __future__ import annotations

import itertools
import sys

import nerf2mesh

WEIGHTS, VIEWS = (30, 100), (2, 3)


def main(settings: list[str]) -> None:
    picture = nerf2mesh.demo_picture()
    print("weight  views  mask IoU  PSNR at the given view, dB")
    for weight, n_views in itertools.product(WEIGHTS, VIEWS):
        varied = [f"distill.weight={weight}", f"distill.n_views={n_views}"]
        result = nerf2mesh.fit(
            picture,
            overrides=[*(settings or ["preset=preview"]), *varied],
            output_dir=f"outputs/examples/05/weight{weight}-views{n_views}",
        )
        iou, psnr = (result.metrics[name]["value"] for name in ("input view mask IoU", "input view PSNR"))
        print(f"{weight:6d}  {n_views:5d}  {iou:8.3f}  {psnr:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
