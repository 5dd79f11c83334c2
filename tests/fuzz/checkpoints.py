"""Damaged and crafted files of a run folder, drawn at random: every one is refused in one line, or the checkpoint
before it is taken.

    python -m tests.fuzz.checkpoints SECONDS [SEED]

prints what was tried. A case counts as `traceback` where anything but a ValueError of one line comes out, as `hang`
after LIMIT_S, and as `accepted` where a damaged checkpoint was taken for the last one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from nerf2mesh.config import Config, load_config
from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.optimize import LAST, LoopState
from nerf2mesh.render import OccupancyGrid
from nerf2mesh.report import write_report
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.types import Camera, Observations, View
from nerf2mesh.utils.checkpoint import before as before_of
from nerf2mesh.utils.tensor_file import pack, unpack

LIMIT_S = 20.0
READ_AT_START = ("config.yaml", "inputs.json", "changes.json")
READ_BY_REPORT = ("timings.json", "metrics.json", "provenance.json", "warnings.json", "versions.json", "metrics.jsonl")
ODD = (None, True, -1, 1 << 70, 1e400, float("nan"), "", "x", [], {}, (1,), torch.zeros(3), torch.tensor(-1))


class Hang(BaseException):
    """A case took longer than LIMIT_S."""


def small_state(seed: int = 0) -> LoopState:
    """A state after one update, of a few kilobytes."""
    field = HashGridField(
        FieldConfig(n_levels=2, n_features=2, log2_table_size=6, hidden=8), torch.Generator().manual_seed(seed)
    )
    state = LoopState.fresh(field, OccupancyGrid(8), 1e-2, 1e-3, seed)
    for parameter in field.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    state.step, state.events = 1, ["step 1: an event"]
    state.factors, state.symptoms = {"distill": 0.5}, {"empty": 1}
    return state


def write_two(path: Path) -> None:
    """The checkpoint of step 2 at `path`, that of step 1 before it."""
    state = small_state()
    for state.step in (1, 2):
        state.save(path)


def flipped(data: bytes, draw: random.Random) -> bytes:
    """One to eight bits are changed."""
    changed = bytearray(data)
    for at in draw.sample(range(8 * len(data)), draw.randint(1, 8)):
        changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def cut(data: bytes, draw: random.Random) -> bytes:
    """The first bytes alone."""
    return data[: draw.randrange(len(data))]


def overwritten(data: bytes, draw: random.Random) -> bytes:
    """A block of random bytes, zeros, or other places of the file; longer at the end in some cases."""
    at, size = draw.randrange(len(data)), draw.choice((1, 8, 64, 512))
    other = draw.randrange(len(data))
    block = draw.choice((draw.randbytes(size), bytes(size), data[other : other + size] + b"\x01"))
    result = data[:at] + block + data[at + size :]
    return result if result != data else data + b"\x00"


def crafted(data: bytes, draw: random.Random) -> bytes:
    """A fitting checksum over values of other types, shapes or names."""
    values = unpack(data)
    place, key = values, draw.choice([*values])
    while isinstance(place[key], dict) and place[key] and draw.random() < 0.8:
        place = place[key]
        key = draw.choice([*place])
    if draw.random() < 0.2:
        del place[key]
    elif isinstance(place[key], torch.Tensor) and draw.random() < 0.6:
        tensor = place[key]
        place[key] = draw.choice(
            (tensor.double(), tensor[None], tensor.flatten()[:1], tensor.new_full(tensor.shape, 99), tensor.half())
        )
    else:
        place[key] = draw.choice(ODD)
    return pack(values)


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {"flip": flipped, "cut": cut, "block": overwritten}


def load_case(path: Path, pair: tuple[bytes, bytes], draw: random.Random, counts: Counter[str]) -> None:
    """A damaged or crafted last checkpoint at `path`, beside a whole or missing one before it."""
    before = before_of(path)
    path.write_bytes(pair[0])
    before.write_bytes(pair[1])
    kind = draw.choice((*DAMAGES, "crafted", "place"))
    if kind == "place":
        stand_in(path, draw)
    else:
        path.write_bytes((DAMAGES | {"crafted": crafted})[kind](path.read_bytes(), draw))
    alone = draw.random() < 0.3
    if alone:
        before.unlink()
    state = small_state(seed=5)
    try:
        said = state.load(path)
    finally:
        clear(path.parent)
    if kind != "crafted" and (alone or state.step != 1 or len(said) != 1):
        counts["accepted"] += 1
    counts["taken before" if said else "taken"] += 1


def stand_in(path: Path, draw: random.Random) -> None:
    """A FIFO, a folder, a link or an empty file in the place of a file."""
    path.unlink(missing_ok=True)
    kinds: list[Callable[[], object]] = [
        lambda: os.mkfifo(path),
        path.mkdir,
        path.touch,
        lambda: path.symlink_to("/dev/zero"),
    ]
    draw.choice(kinds)()


def clear(folder: Path) -> None:
    """Removes what a case made."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def text_case(run: Path, config: Config, draw: random.Random, counts: Counter[str]) -> None:
    """A damaged, foreign or unreadable settings, note or log file; the run goes on, or the report is written."""
    name = draw.choice((*READ_AT_START, *READ_BY_REPORT))
    path, before = run / name, (run / name).read_bytes()
    try:
        if draw.random() < 0.2:
            stand_in(path, draw)
        elif draw.random() < 0.5:
            path.write_bytes(draw.choice([*DAMAGES.values()])(before or b"{}", draw))
        else:
            path.write_text(json.dumps(odd_json(draw, 3)), encoding="utf-8")
        write_report(run)
        RunFolder.open(config, (), seen())
        counts["read"] += 1
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(before)


def odd_json(draw: random.Random, depth: int) -> object:
    """Values that JSON can hold, nested, with the names that the files use."""
    if depth == 0 or draw.random() < 0.3:
        return draw.choice((None, True, -1, 10**400, 1e300, float("nan"), float("inf"), "", "x" * 99, "\x1b[2J"))
    names = ("seconds", "parts", "value", "baseline", "code", "commit", "versions", "step", "observations", "\n")
    if draw.random() < 0.4:
        return [odd_json(draw, depth - 1) for _ in range(draw.randrange(4))]
    return {draw.choice(names): odd_json(draw, depth - 1) for _ in range(draw.randrange(4))}


def seen() -> Observations:
    return Observations((View(torch.full((8, 8, 4), 0.5), Camera.orbit(0.0, 10.0, width_px=8)),))


def whole_run(folder: Path) -> Config:
    """A run folder with every file that is read again."""
    config = load_config(["preset=tiny", f"output_dir={folder}"])
    RunFolder.open(config, (), seen())
    texts = {
        "changes.json": '[{"date": "2026-01-01", "settings": {}}]',
        "timings.json": '{"mesh": {"seconds": 1.5, "peak_bytes": 1, "peak_gpu_bytes": 0, "parts": {"a": 0.5}}}',
        "metrics.json": '{"input view PSNR": {"value": 20.0, "baseline": 19.0, "better": "higher", "unit": "dB"}}',
        "provenance.json": '{"seed": 1, "code": {"commit": "0123456789ab", "dirty": false}, "versions": {}}',
        "warnings.json": '["a warning"]',
        "metrics.jsonl": '{"step": 1, "time_s": 0.1, "loss/color": 0.5}\n' * 3,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / LAST).touch()
    return config


def main(seconds: float, seed: int = 0, *, cases: int | None = None) -> dict[str, int]:
    """Tries cases for `seconds`, or `cases` of them at most; the counts by what happened."""
    draw, counts, end = (
        random.Random(seed),
        Counter(cases=0, tracebacks=0, hangs=0, accepted=0),
        time.monotonic() + seconds,
    )
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory() as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run, last = Path(made) / "run", Path(made) / LAST
        config = whole_run(run)
        write_two(last)
        pair = last.read_bytes(), before_of(last).read_bytes()
        while time.monotonic() < end and (cases is None or counts["cases"] < cases):
            counts["cases"] += 1
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
            try:
                if draw.random() < 0.9:
                    load_case(last, pair, draw, counts)
                else:
                    text_case(run, config, draw, counts)
            except Hang:
                counts["hangs"] += 1
            except ValueError as error:
                kind = "refused" if "\n" not in str(error) else "tracebacks"
                counts[kind] += 1
                if kind == "tracebacks":
                    print(f"case {counts['cases']} of seed {seed}, more than a line:\n{error}", file=sys.stderr)
            except Exception:
                counts["tracebacks"] += 1
                print(f"case {counts['cases']} of seed {seed}:\n{traceback.format_exc()}", file=sys.stderr)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
    return dict(counts)


def _too_long(number: int, frame: object) -> None:
    raise Hang


if __name__ == "__main__":
    found = main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(json.dumps(found))
    sys.exit(1 if found["tracebacks"] or found["hangs"] or found["accepted"] else 0)
