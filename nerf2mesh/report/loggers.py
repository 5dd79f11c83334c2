"""Where a run's numbers go: always metrics.jsonl, and beside it TensorBoard and Weights & Biases where asked for.

Everything else (the report, the tests, the benchmark) reads metrics.jsonl only. A run that resumes goes on in the same
curves: TensorBoard is told the step from which older points no longer count, Weights & Biases the id of its run, which
lies in the run folder. Weights & Biases takes project, entity, group and mode from its own variables (WANDB_PROJECT,
WANDB_MODE, ...); without WANDB_MODE it is offline, and `wandb sync FOLDER/wandb/offline-run-*` uploads later.
"""

from __future__ import annotations

import math
import os
import re
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nerf2mesh.report.metrics_log import MetricsLog
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.regular_file import read_regular

Numbers = Mapping[str, float | int]


class RunLogs:
    """`write` hands a step's numbers to every log of the run folder, `close` ends them."""

    def __init__(self, folder: Path, names: Sequence[str] = (), *, resume_step: int = 0) -> None:
        self._metrics = MetricsLog(folder / "metrics.jsonl", resume_step=resume_step)
        kinds = {"tensorboard": TensorBoardLog, "wandb": WandbLog}
        self._others = [kinds[name](folder, resume_step) for name in names]

    def write(self, step: int, numbers: Numbers) -> None:
        """Hands on the step's numbers; values that are not finite go to metrics.jsonl only."""
        self._metrics.write(step, numbers)
        finite = {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
        for log in self._others:
            log.write(step, finite)

    def close(self) -> None:
        """Closes TensorBoard and Weights & Biases; metrics.jsonl is complete after each `write`."""
        for log in self._others:
            log.close()


class TensorBoardLog:
    """Event files in folder/tensorboard."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge = resume_step + 1 if resume_step else None
        with _nameless():
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def write(self, step: int, numbers: Numbers) -> None:
        """Adds one point to the curve of each number, and flushes the file."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


class WandbLog:
    """One run of Weights & Biases, files in folder/wandb, its id in folder/wandb_id."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        import wandb

        run_id = _wandb_id(folder / "wandb_id")
        self._run = wandb.init(
            dir=str(folder),
            id=run_id,
            name=os.environ.get("WANDB_NAME", folder.name),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._from = resume_step

    def write(self, step: int, numbers: Numbers) -> None:
        """Logs the numbers, unless the run was resumed from this step or a later one."""
        if step > self._from:
            self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """Ends the run at Weights & Biases and waits until its files are written."""
        self._run.finish()


@contextmanager
def _nameless() -> Iterator[None]:
    """Inside, the machine has no name: TensorBoard would put it into the name of its file."""
    real, socket.gethostname = socket.gethostname, lambda: "host"
    try:
        yield
    finally:
        socket.gethostname = real


def _wandb_id(path: Path) -> str:
    """The id that the file holds; a new one where there is no file. ValueError where it holds something else."""
    try:
        found = read_regular(path, limit_bytes=4096).decode("utf-8", errors="replace").strip()
    except FileNotFoundError:
        found = uuid.uuid4().hex[:8]
        atomic_write_text(path, found + "\n")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", found):
        raise ValueError(f"{path}: expected the id of a run at Weights & Biases, got {found[:40]!r}; remove the file")
    return found
