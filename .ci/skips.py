"""Fails where a test was skipped although what it needs is here: `python .ci/skips.py JUNIT.xml [--no-native]`.

Every reason for a skip has to be known here, so that a new one is decided about and not overlooked.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NATIVE = "--no-native" not in sys.argv


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _native() -> bool:
    return NATIVE and any((ROOT / "nerf2mesh" / "kernels").glob("libn2m_cpu*.so"))


def _instruction_set(name: str) -> bool:
    return name in Path("/proc/cpuinfo").read_text(encoding="utf-8")


CAN_RUN: dict[str, Callable[[re.Match[str]], bool]] = {
    r"could not import '(\w+)": lambda found: importlib.util.find_spec(found[1]) is not None,
    r"needs the docs extra": lambda _: importlib.util.find_spec("material") is not None,
    r"no CUDA device": lambda _: _cuda(),
    r"there is a GPU": lambda _: not _cuda(),
    r"needs chromium": lambda _: bool(shutil.which("chromium") or shutil.which("google-chrome")),
    r"gltf-validator": lambda _: bool(shutil.which("node")) and (ROOT / ".cache/node_modules/gltf-validator").is_dir(),
    r"N2M_BLENDER names no": lambda _: bool(os.environ.get("N2M_BLENDER")),
    r"needs Blender": lambda _: bool(os.environ.get("N2M_BLENDER") or shutil.which("blender")),
    r"needs node": lambda _: bool(shutil.which("node")),
    r"needs real data": lambda _: bool(os.environ.get("N2M_DATA_DIR")),
    r"root writes everywhere": lambda _: os.geteuid() != 0,
    r"no native library, or no g\+\+": lambda _: _native() and bool(shutil.which("g++")),
    r"native library": lambda _: _native(),
    r"^(?:Skipped: )?no (avx2|avx512\w*) here": lambda found: NATIVE and _instruction_set(found[1]),
    r"by /proc": lambda _: Path("/proc/self/stat").exists(),
}
"""Part of the reason -> whether the test could have run."""


def wrong_skips(report: Path) -> list[str]:
    """A line for each skipped test that could have run or whose reason is not known."""
    lines = []
    for case in xml.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            if skip.get("type") != "pytest.skip":  # expected failures
                continue
            reason = skip.get("message", "")
            known = next(((found, ask) for text, ask in CAN_RUN.items() if (found := re.search(text, reason))), None)
            if known is None or known[1](known[0]):
                why = "its reason is not known to .ci/skips.py" if known is None else "what it needs is here"
                lines.append(f"{case.get('classname')}::{case.get('name')} was skipped ({reason}), but {why}")
    return lines


if __name__ == "__main__":
    found = wrong_skips(Path(sys.argv[1]))
    print("\n".join(found) or "no test was skipped without need")
    sys.exit(bool(found))
