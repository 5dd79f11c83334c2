"""What a disturbed sweep's folder says beside an undisturbed one's: nothing lost, nothing doubled, nothing unequal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COST = ("seconds", "peak_memory_bytes", "energy_j")
TABLES = ("means.csv", "means.json", "table.tex")
"""Of these every byte counts; of results.json all but COST and the date."""


def verdict(reference: Path, other: Path, count: int) -> dict[str, Any]:
    """What became of the jobs, and where scores or tables differ from the undisturbed sweep's."""
    events = [json.loads(line) for line in (other / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    done = [e["job"] for e in events if e["event"] == "done"]
    ours, theirs = scores(reference), scores(other)
    unequal = sum(ours[key] != theirs.get(key) for key in ours) + len(theirs.keys() - ours.keys())
    same = all((reference / name).read_bytes() == (other / name).read_bytes() for name in TABLES)
    return {
        "jobs": count,
        "interrupted": sum(e["event"] == "lost" for e in events),
        "lost": count - len(set(done)),
        "doubled": len(done) - len(set(done)),
        "unequal": unequal,
        "tables_equal": same,
    }


def scores(folder: Path) -> dict[tuple[str, str, int], str]:
    """Every record by method, object and seed, as text without its cost: equal text is equal to the last bit."""
    records = json.loads((folder / "results.json").read_text(encoding="utf-8"))["records"]
    named = {(r["method"], r["object"], r["seed"]): r for r in records}
    assert len(named) == len(records), "every record once"
    return {key: json.dumps({k: v for k, v in r.items() if k not in COST}) for key, r in named.items()}
