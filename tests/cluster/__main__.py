"""`make cluster-test`: one small sweep in four ways, and all must give the same bits.

1. By local processes, undisturbed: the reference.
2. On a real SLURM of two nodes, while a job of a higher partition takes one worker's place: that worker is told to
   stop, writes a checkpoint, hands its job back, and is put back into SLURM's queue; the job goes on at its step.
3. On a local Ray, if it is installed. 4. By joblib, if it is installed.
Then two torchrun processes are compared with one (tests/test_distributed.py).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from nerf2mesh.utils.checkpoint import read_checkpoint
from tests.cluster.daemons import slurm_daemons
from tests.optimize.test_loop import assert_equal

ROOT = Path(__file__).resolve().parents[2]
SWEEP = (
    *("protocol=procedural-heldout", "objects=[s0000,s0001]", "seeds=[0,1]", "presets=[tiny]", "baselines=false"),
    'overrides=["optimize.steps=60","optimize.checkpoint_every=1000","lora.steps=2","threads=1","report=quiet"]',
)
BENCH = (sys.executable, "-c", "from nerf2mesh.cli import bench; bench()")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("folder", type=Path, help="for the sweeps and for SLURM itself")
    parser.add_argument("--only", choices=("slurm", "ray", "joblib", "torchrun"), action="append")
    args = parser.parse_args()
    folder, steps = args.folder.resolve(), args.only or ["slurm", "ray", "joblib", "torchrun"]
    if set(steps) - {"torchrun"}:
        sweep(folder / "local", "launch=local", "launch.workers=2")
    if "slurm" in steps:
        slurm(folder)
    for name in ("ray", "joblib"):
        if name in steps and importlib.util.find_spec(name) is None:
            print(f"{name}: left out, it is not installed")
        elif name in steps:
            sweep(folder / name, f"launch={name}", "launch.workers=2")
            compare(folder / "local", folder / name)
    if "torchrun" in steps:
        subprocess.run([sys.executable, "-m", "pytest", str(ROOT / "tests/test_distributed.py")], cwd=ROOT, check=True)
    print("cluster-test: 1 passed, 0 failed")


def sweep(folder: Path, *settings: str) -> None:
    started = time.monotonic()
    subprocess.run(command(folder, *settings), cwd=ROOT, env=environment(), check=True)
    print(f"{folder.name}: sweep done in {time.monotonic() - started:.0f} s", flush=True)


def command(folder: Path, *settings: str) -> list[str]:
    return [*BENCH, *SWEEP, f"output_dir={folder}", *settings]


def environment() -> dict[str, str]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def slurm(folder: Path) -> None:
    """The sweep on SLURM, one worker of which is preempted by a job of partition high."""
    with slurm_daemons(folder / "slurm-daemons"):
        settings = (
            *("launch=slurm", "launch.workers=2", "launch.slurm.partition=low", "launch.slurm.cpus_per_task=1"),
            *("launch.slurm.mem_gb=3", "launch.say_every_s=20"),
        )
        bench = subprocess.Popen(command(folder / "slurm", *settings), cwd=ROOT, env=environment())
        wait_for_steps(folder / "slurm", bench, steps=5)
        taken = subprocess.run(
            ["sbatch", "--partition=high", "--cpus-per-task=1", "--mem=100", "--wrap", "sleep 5", "--output=/dev/null"],
            check=True,
            capture_output=True,
            text=True,
        )
        print(f"preempting: {taken.stdout.strip()}", flush=True)
        if bench.wait(1800) != 0:
            raise SystemExit("slurm: the sweep failed")
        tasks = subprocess.run(["scontrol", "--oneliner", "show", "jobs"], capture_output=True, text=True).stdout
        print("SLURM's restarts:", ", ".join(re.findall(r"Restarts=\d+", tasks)), flush=True)
    preempted = [e for e in events(folder / "slurm") if e["event"] == "released"]
    assert preempted, "a job was to be preempted, none was"
    for event in preempted:
        log = (folder / "slurm/runs" / event["job"] / "run/warnings.json").read_text()
        print(f"{event['job']}: {event['why']}; then {json.loads(log)}", flush=True)
        assert "continued from step" in log
    compare(folder / "local", folder / "slurm")


def wait_for_steps(folder: Path, bench: subprocess.Popen, steps: int) -> None:
    """Until some fit is in the middle of its loop."""
    while bench.poll() is None:
        for path in folder.glob("runs/*/run/metrics.jsonl"):
            if path.read_text().count("\n") > steps:
                return
        time.sleep(0.2)
    raise SystemExit("slurm: the sweep ended before anything could be preempted")


def events(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def compare(reference: Path, other: Path) -> None:
    """Checkpoints equal bit for bit, and the same scores; each job done once."""
    jobs = sorted(path.name for path in (reference / "runs").iterdir())
    assert jobs == sorted(path.name for path in (other / "runs").iterdir()) and len(jobs) == 4
    done = [e["job"] for e in events(other) if e["event"] == "done"]
    assert sorted(done) == jobs, "every job once"
    for job in jobs:
        states = [read_checkpoint(f / "runs" / job / "run/checkpoints/last.safetensors") for f in (reference, other)]
        assert_equal(*states)
        scores = [
            json.loads((f / f"results/{job}.json").read_text())["result"]["records"][0] for f in (reference, other)
        ]
        assert scores[0]["metrics"] == scores[1]["metrics"], job
    print(f"{other.name}: {len(jobs)} jobs, checkpoints and scores equal to the reference's bit for bit", flush=True)


if __name__ == "__main__":
    main()
