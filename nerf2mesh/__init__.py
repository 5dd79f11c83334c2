"""From one picture to a textured mesh: hash-grid NeRF, score distillation from LoRA-adapted priors, marching cubes.

    import nerf2mesh
    result = nerf2mesh.fit("cup.png", overrides=["preset=preview"], output_dir="outputs/cup")
    result.mesh, result.metrics, result.render(nerf2mesh.Camera.orbit(30, 15)), result.save("cup")

Names load on first use: importing the package builds, prints and downloads nothing.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nerf2mesh.api import BackgroundRun, Result, fit, start
    from nerf2mesh.config import Config, load_config
    from nerf2mesh.inputs import InputConfig, demo_picture, load_observations
    from nerf2mesh.mesh import TriangleMesh, save_mesh
    from nerf2mesh.motion.rig import Rig, rig
    from nerf2mesh.types import Camera, Observations, Rays, Rendering, View

__all__ = [
    "BackgroundRun",
    "Camera",
    "Config",
    "InputConfig",
    "Observations",
    "Rays",
    "Rendering",
    "Result",
    "Rig",
    "TriangleMesh",
    "View",
    "__version__",
    "demo_picture",
    "fit",
    "load_config",
    "load_observations",
    "rig",
    "save_mesh",
    "start",
]
_ROOMS = {
    "api": ("BackgroundRun", "Result", "fit", "start"),
    "config": ("Config", "load_config"),
    "inputs": ("InputConfig", "demo_picture", "load_observations"),
    "mesh": ("TriangleMesh", "save_mesh"),
    "motion.rig": ("Rig", "rig"),
    "types": ("Camera", "Observations", "Rays", "Rendering", "View"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        try:
            return metadata.version("nerf2mesh")
        except metadata.PackageNotFoundError:
            return "0+unknown"
    if name not in _HOME:
        raise AttributeError(f"module 'nerf2mesh' has no attribute {name!r}")
    value = getattr(import_module(f"nerf2mesh.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
