"""`python -m tests.cluster.kill FOLDER`: one sweep of 200 objects, undisturbed and with workers killed; equal tables.

The sweep (`toy`) scores every trivial result on 200 held-out objects. It runs by local processes undisturbed, then by
each launcher asked for while one of its workers, drawn at random, is killed (SIGKILL) every `--every` seconds. Printed
and written as kill.json: jobs, kills, jobs that a death interrupted, jobs lost, done twice, of unequal scores, and
whether the tables are the same bytes. Cost is left out of that: no two runs take the same time. Where no job was
interrupted nothing was shown, and the command fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import threading
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from nerf2mesh.sweep import bench
from nerf2mesh.sweep.config import BenchConfig, LaunchConfig, SlurmConfig
from tests.cluster import toy
from tests.cluster.daemons import slurm_daemons, workers_alive
from tests.cluster.judge import verdict


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.kill", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--launch", choices=("local", "joblib", "ray", "slurm"), nargs="+", default=["joblib"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--objects", type=int, default=toy.N_OBJECTS)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two kills")
    args = parser.parse_args()
    folder, root = args.folder.resolve(), str(Path(__file__).resolve().parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    sweep(folder / "undisturbed", "local", args)
    found = []
    for kind in args.launch:
        with slurm_daemons(folder / "slurm-daemons") if kind == "slurm" else nullcontext():
            kills = sweep(folder / kind, kind, args, every_s=args.every)
        found.append({"launch": kind, **verdict(folder / "undisturbed", folder / kind, args.objects), "kills": kills})
        print(json.dumps(found[-1]), flush=True)
    (folder / "kill.json").write_text(json.dumps(found, indent=1) + "\n")
    bad = [f for f in found if f["lost"] or f["doubled"] or f["unequal"] or not f["tables_equal"]]
    if bad:
        raise SystemExit(f"unequal: {bad}")
    calm = [f["launch"] for f in found if not f["interrupted"]]
    raise SystemExit(f"no job was interrupted by {', '.join(calm)}: lower --every, or remove {folder}" if calm else 0)


def sweep(folder: Path, kind: str, args: argparse.Namespace, every_s: float = 0.0) -> int:
    """Runs what is not done yet and returns how many workers were killed meanwhile."""
    slurm = SlurmConfig(cpus_per_task=1, mem_gb=2.0)
    config = BenchConfig(
        protocol="procedural-heldout", n_objects=args.objects, seeds=(0,), fit=False, output_dir=str(folder),
        launch=LaunchConfig(kind=kind, workers=args.workers, threads=1, lease_s=5.0, say_every_s=20.0, slurm=slurm),
    )  # fmt: skip
    over, kills, started = threading.Event(), [], time.monotonic()
    made = bench.make_launcher
    bench.make_launcher = partial(made, function=toy.RUN_JOB)
    if every_s:
        threading.Thread(target=kill_now_and_then, args=(folder, every_s, over, kills), daemon=True).start()
    try:
        bench.run_bench(config)
    finally:
        bench.make_launcher = made
        over.set()
    print(f"{folder.name}: {time.monotonic() - started:.0f} s, {len(kills)} workers killed", flush=True)
    return len(kills)


def kill_now_and_then(folder: Path, every_s: float, over: threading.Event, kills: list[int]) -> None:
    """Kills a worker that is at work, one each `every_s` seconds."""
    while not over.wait(every_s):
        busy = workers_alive(folder)
        if busy:
            victim = random.choice(busy)
            os.kill(victim, signal.SIGKILL)
            kills.append(victim)


if __name__ == "__main__":
    main()
