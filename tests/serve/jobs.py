"""Jobs that take no time, for the crew."""

from __future__ import annotations

import signal
import time

from nerf2mesh.sweep.worker import Context


def sleep(payload: dict, context: Context) -> dict:
    """Takes payload["steps"] tenths of a second, and tells of each as a run does."""
    run = context.folder / "run"
    run.mkdir(exist_ok=True)
    for step in range(1, payload["steps"] + 1):
        time.sleep(0.1)
        with (run / "metrics.jsonl").open("a") as file:
            file.write(f'{{"step": {step}, "time_s": 0.1}}\n')
    (run / "mesh.glb").write_bytes(b"glTF")
    return {"warnings": []}


def deaf(payload: dict, context: Context) -> dict:
    """Hears no SIGTERM, as a long call of a native library."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return sleep(payload, context)
