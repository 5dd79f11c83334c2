"""What the fuzz targets share: damage drawn at random, a limit of time for each case, and what counts as a fault.

A case reads something damaged. It may end well ("read"), or with a ValueError of one printable line that names the file
("refused"). All else is a fault: `tracebacks`, or `hangs` after LIMIT_S. Warnings that are not the package's own count
as tracebacks too: a user would see Pillow's or numpy's words without the file's name.
"""

from __future__ import annotations

import copy
import faulthandler
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 60.0
"""By the clock on the wall, which runs on while a busy machine does other things."""
DATA_BYTES = 6 * 2**30
"""Limit of a process's own memory, so that a runaway ends here and not the machine; 2 GB in use are a fault already."""
MAX_PEAK_BYTES = 2 * 10**9
ODD_NUMBERS = (0, -1, 1, 2, 255, 10**9, -(10**12), 10**400, 1e300, 0.5, float("nan"), float("inf"))
ODD = (*ODD_NUMBERS, None, True, "", "x", "\x00", "../../etc/passwd", "/dev/zero", "x" * 9999, [], {}, [[1]])
Case = Callable[[random.Random, Path], str]


class Hang(BaseException):
    """A case took longer than LIMIT_S."""


def run(case: Case, seconds: float, seed: int = 0) -> dict[str, int]:
    """Tries cases for so long. `case` gets a generator and an empty folder, and returns the name of the file it read,
    after "read: ", or raises."""
    draw, counts, end = random.Random(seed), Counter(cases=0, tracebacks=0, hangs=0), time.monotonic() + seconds
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, hard))
    before = signal.signal(signal.SIGALRM, _too_long)
    try:
        while time.monotonic() < end:
            counts["cases"] += 1
            # A loop in C hears no signal: then the whole process ends, which the caller sees.
            faulthandler.dump_traceback_later(3 * LIMIT_S, exit=True)
            with tempfile.TemporaryDirectory() as folder:
                kind, said = outcome(lambda folder=folder: case(draw, Path(folder)))
            counts[kind] += 1
            if kind in ("tracebacks", "hangs"):
                print(f"case {counts['cases']} of seed {seed}: {kind}\n{said}", file=sys.stderr)
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    counts["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    return dict(counts)


def outcome(work: Callable[[], str]) -> tuple[str, str]:
    """(read, refused, tracebacks or hangs; what was said) of one case."""
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind, said = "read", work()
    except Hang:
        return "hangs", traceback.format_exc(limit=-4)
    except ValueError as error:
        said = str(error)
        clean = (said.isprintable() and len(said) < 1000 and ": expected " in said) or " is damaged" in said
        kind = "refused" if clean else "tracebacks"
    except Exception:
        kind, said = "tracebacks", traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    foreign = [w for w in caught if not str(w.message).isprintable() or ": left out " not in str(w.message)]
    return ("tracebacks", f"a warning: {foreign[0].message}") if foreign else (kind, said)


def damaged(data: bytes, draw: random.Random) -> bytes:
    """One of: bits changed, cut, a block overwritten, a stretch left out, put in, or repeated."""
    kind, at, size = draw.randrange(6), draw.randrange(len(data) + 1), draw.choice((1, 4, 16, 200))
    if kind == 0:
        changed = bytearray(data)
        for bit in draw.sample(range(8 * len(data)), min(draw.randint(1, 8), 8 * len(data))):
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + draw.choice((bytes(size), b"\xff" * size, draw.randbytes(size))) + data[at + size :]
    if kind == 3:
        return data[:at] + data[at + size :]
    other = draw.randrange(len(data) + 1)
    return data[:at] + (draw.randbytes(size) if kind == 4 else data[other : other + size]) + data[at:]


def damaged_text(text: str, draw: random.Random) -> str:
    """Words exchanged for odd ones, lines left out, repeated, or in another order."""
    lines = text.split("\n")
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(lines))
        words = lines[at].split(" ")
        if draw.random() < 0.7:
            words[draw.randrange(len(words))] = str(draw.choice(ODD))[:200]
            lines[at] = " ".join(words)
        elif draw.random() < 0.5:
            lines.insert(draw.randrange(len(lines)), lines[at])
        else:
            lines[at] = ""
    return "\n".join(lines)


def damaged_json(value: object, draw: random.Random) -> object:
    """The value with one to three of its parts exchanged for odd ones, left out, or repeated."""
    root = [json.loads(json.dumps(value))]
    for _ in range(draw.choice((1, 1, 2, 3))):
        place, key = root, 0
        while isinstance(place[key], dict | list) and place[key] and draw.random() < 0.85:
            place = place[key]
            key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if draw.random() < 0.15 and place is not root:
            del place[key]
        elif isinstance(place, list) and draw.random() < 0.1:
            place.extend(copy.deepcopy(place[key]) for _ in range(draw.choice((1, 3))))
        else:
            place[key] = copy.deepcopy(draw.choice(ODD))
    return root[0]


def stand_in(path: Path, draw: random.Random) -> None:
    """A pipe, a folder, a link that leads out, or nothing in the place of a file."""
    path.unlink(missing_ok=True)
    kind = draw.randrange(4)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(draw.choice(("/dev/zero", "/etc/passwd", "../..", path.name)))


def command(main: Callable[[float, int], dict[str, int]]) -> None:
    """`python -m tests.fuzz.NAME SECONDS [SEED]`: prints the counts; exit code 1 where there is a fault."""
    found = main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(json.dumps(found))
    sys.exit(1 if found["tracebacks"] or found["hangs"] else 0)


def _too_long(number: int, frame: object) -> None:
    raise Hang
