"""A picture becomes a textured mesh: `python examples/01_picture_to_mesh.py [SETTING ...]`.

Writes mesh.glb, turntable.mp4 and report.html into outputs/examples/01; the same command continues a stopped run.
"""

from __future__ import annotations

import sys

import nerf2mesh

VIEW = ["input.azimuth_deg=35", "input.elevation_deg=20"]
"""Where the bundled picture was taken from. For your own pictures the elevation is worth stating."""


def main(settings: list[str]) -> None:
    picture = nerf2mesh.demo_picture()
    result = nerf2mesh.fit(
        picture, overrides=[*VIEW, *(settings or ["preset=preview"])], output_dir="outputs/examples/01"
    )
    print(result)
    side = nerf2mesh.Camera.orbit(90.0, 15.0, width_px=64)
    print("opacity of the field from the side:", round(float(result.render(side).opacity.mean()), 3))
    print("files:", *result.save("outputs/examples/01", formats=("glb", "ply")))


if __name__ == "__main__":
    main(sys.argv[1:])
