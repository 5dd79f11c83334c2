"""Builds the native library beside the Python package. Nothing here imports torch.

The libraries speak a C ABI and are loaded with ctypes, so that a wheel fits every Python 3 (py3-none-PLATFORM).
`N2M_CUDA=0` leaves CUDA out, `N2M_CUDA=1` makes a failed CUDA build an error. Without a compiler the package installs
all the same and runs on its plain torch twins.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def load_builder():
    """The builder as a module of its own, without importing the package (and so torch)."""
    path = ROOT / "nerf2mesh" / "kernels" / "build.py"
    spec = importlib.util.spec_from_file_location("n2m_build", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildNative(build_ext):
    """Compiles `csrc` once; the extensions only name the shared libraries so that every install mode finds them."""

    def run(self) -> None:
        folder = ROOT / "nerf2mesh" / "kernels" if self.inplace else Path(self.build_lib) / "nerf2mesh" / "kernels"
        self.built = load_builder().build_all(folder, root=ROOT)

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def get_outputs(self) -> list[str]:
        return [str(path) for path in getattr(self, "built", [])]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


packages = find_packages(include=["nerf2mesh", "nerf2mesh.*"])
package_dir = {"nerf2mesh": "nerf2mesh"}
if (ROOT / "configs").is_dir():
    packages.append("nerf2mesh.configs")
    package_dir["nerf2mesh.configs"] = "configs"

setup(
    packages=packages,
    package_dir=package_dir,
    package_data={
        "nerf2mesh.configs": ["*.yaml", "**/*.yaml"],
        "nerf2mesh": [
            f"**/*.{kind}" for kind in ("safetensors", "json", "html", "js", "css", "png", "jpg", "webp", "txt", "md")
        ],
    },
    ext_modules=[Extension("nerf2mesh.kernels.libn2m_cpu", sources=[])],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": PlatformWheel},
)
