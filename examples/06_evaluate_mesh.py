"""Measure a mesh against the truth: `python examples/06_evaluate_mesh.py [SETTING ...]`.

The truth is an object of the shape grammar. It is photographed once; what `fit` makes of the picture is compared with
it in the same frame, without any alignment.
"""

from __future__ import annotations

import sys

import nerf2mesh
from nerf2mesh.evaluate.metrics.geometry import surface_distances, volume_iou
from nerf2mesh.evaluate.metrics.images import psnr
from nerf2mesh.evaluate.protocols.procedural_objects import FIRST_SEED, procedural_mesh
from nerf2mesh.evaluate.protocols.scoring import picture
from nerf2mesh.render import rasterize_mesh


def main(settings: list[str]) -> None:
    truth = procedural_mesh(FIRST_SEED, resolution=64)
    camera = nerf2mesh.Camera.orbit(0.0, 20.0, width_px=128)
    view = nerf2mesh.View(picture(rasterize_mesh(truth, camera, supersample=2)), camera)
    found = nerf2mesh.fit(observations=nerf2mesh.Observations((view,)), overrides=settings or ["preset=preview"]).mesh
    distances = surface_distances(found, truth, samples=5000)
    behind = nerf2mesh.Camera.orbit(180.0, 20.0, width_px=128)
    images = [rasterize_mesh(mesh, behind).over(1.0)[None] for mesh in (found, truth)]
    print(f"volume IoU           {volume_iou(found, truth, resolution=64):.3f}")
    print(f"Chamfer distance     {distances.chamfer():.4f}   (the box has side 2)")
    print(f"F-score at 0.05      {distances.f_score(0.05):.3f}")
    print(f"normal consistency   {distances.normal_consistency():.3f}")
    print(f"PSNR from behind, dB {float(psnr(*images)):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
