"""Asked to stop, a run writes a checkpoint at its next step and ends with code 75; it then goes on, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nerf2mesh.inputs import demo_picture
from nerf2mesh.optimize import LAST, optimize
from nerf2mesh.run.preemption import REQUEUE, SIGNALS_SEEN, Checkpoints, Preempted, listening, stoppable
from nerf2mesh.utils.checkpoint import read_checkpoint
from nerf2mesh.utils.locks import InUse, alone_in
from tests.optimize.scene import problem
from tests.optimize.test_loop import assert_equal
from tests.test_resume import SETTINGS, wait_for_loop


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "nerf2mesh.cli", f"input.image={demo_picture()}", f"output_dir={folder}", *SETTINGS]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def no_signal_left() -> None:
    SIGNALS_SEEN.received = None


def test_stopped_by_a_signal_and_resumed_is_bit_equal(tmp_path: Path) -> None:
    whole, task = problem(steps=8)
    optimize(whole, task, folder=tmp_path / "whole")

    first, task = problem(steps=8)
    save = Checkpoints(tmp_path / "parts" / LAST, 1e9)

    def stop_at_five(state) -> None:
        if state.step == 5:
            os.kill(os.getpid(), signal.SIGUSR1)
        save(state)

    with listening(), stoppable(), pytest.raises(Preempted, match="SIGUSR1 at step 5"), save.between_steps():
        optimize(first, task, folder=tmp_path / "parts", on_step=stop_at_five)
    second, task = problem(steps=8)
    second.load(tmp_path / "parts" / LAST)
    assert second.step == 5, "not the step of the last regular checkpoint, which is 4"
    optimize(second, task, folder=tmp_path / "parts")
    a, b = (read_checkpoint(tmp_path / name / LAST) for name in ("whole", "parts"))
    assert_equal(a, b)


def test_checkpoints_by_the_clock(tmp_path: Path) -> None:
    now = [0.0]
    save = Checkpoints(tmp_path / "last.pt", 60.0, clock=lambda: now[0])
    saved = []

    class State:
        step = 0

        def save(self, path: Path) -> None:
            saved.append(now[0])

    for seconds in range(0, 200, 25):
        now[0] = float(seconds)
        save(State())
    assert saved == [75.0, 150.0]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_every_signal_of_a_scheduler_or_a_closed_terminal(name: str) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # these tests may run under nohup
    try:
        with listening(), pytest.raises(Preempted, match=f"^stopped by {name}$") as stopped, stoppable():
            os.kill(os.getpid(), number)
        assert stopped.value.code == REQUEUE and signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_nohup_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening() as seen, stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
        assert seen.received is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_loop_a_signal_ends_at_once_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with listening() as seen:
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen.received == signal.SIGTERM, "between jobs it is only noted"
        with pytest.raises(Preempted), stoppable():
            pass
    with listening(), pytest.raises(Preempted) as stopped, stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.code == REQUEUE and not isinstance(stopped.value, Exception)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_the_command_line_stops_politely_and_goes_on(tmp_path: Path) -> None:
    """The same exit code for all signals of a scheduler; the resumed run says where it went on."""
    process = subprocess.Popen(command(tmp_path), env=environment(), stderr=subprocess.PIPE, text=True)
    wait_for_loop(process, tmp_path, at_most_s=900)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=900)
    assert process.returncode == REQUEUE, said
    assert "the same command goes on" in said
    step = read_checkpoint(tmp_path / LAST)["step"]
    done = subprocess.run(command(tmp_path), env=environment(), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert f"continued from step {step}" in (tmp_path / "warnings.json").read_text()


def test_one_process_a_folder(tmp_path: Path) -> None:
    code = "import sys, time; from nerf2mesh.utils.locks import alone_in\n"
    code += "with alone_in(sys.argv[1]): print(1, flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [command(tmp_path)[0], "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    other.stdout.readline()
    with pytest.raises(InUse, match=rf"in use by another process \({other.pid}\)"), alone_in(tmp_path):
        pass
    other.kill()
    other.wait()
    time.sleep(0.05)
    with alone_in(tmp_path):
        pass
    with alone_in(None):
        pass
