"""Runs Khronos' gltf-validator (npm package `gltf-validator`) where node and the package are present."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
const validator = require(process.argv[1]);
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[2]));
validator.validateBytes(bytes, {maxIssues: 0}).then((r) => console.log(JSON.stringify(r.issues)));
"""


@cache
def find_package() -> Path | None:
    """npm install --prefix .cache gltf-validator, or a folder of packages in NODE_PATH."""
    folders = [ROOT / "node_modules", ROOT / ".cache" / "node_modules", ROOT / "build" / "node_modules"]
    folders += [Path(p) for p in os.environ.get("NODE_PATH", "").split(os.pathsep) if p]
    found = [folder / "gltf-validator" for folder in folders if (folder / "gltf-validator").is_dir()]
    return found[0] if found and shutil.which("node") else None


def validate(path: Path) -> dict:
    """{"numErrors", "numWarnings", "numInfos", "numHints", "messages"}"""
    package = find_package()
    assert package is not None
    command = ["node", "-e", SCRIPT, str(package), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
