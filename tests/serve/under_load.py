"""What a server bears, with figures: `python -m tests.serve.under_load hostile|killed|eight`.

hostile  200 requests of a stranger: statuses, jobs, writes outside the folder
killed   kill -9 of the server and its workers while jobs are sent and run; every accepted job is done
eight    8 jobs on two workers
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from nerf2mesh.inputs import demo_picture
from tests.serve.hostile import all_requests, send
from tests.serve.served import Served, is_busy

TINY = {"settings": '{"preset": "tiny", "report.turntable_frames": 0}'}


def hostile(folder: Path) -> dict[str, object]:
    """Statuses by kind, and what the server has written."""
    server = Served(folder, "--body-mib", "1", "--megapixels", "4", "--body-s", "5")
    server.start()
    before = set(folder.parent.iterdir()) | set(folder.iterdir())
    found: dict[str, Counter[int]] = {}
    for request in all_requests():
        found.setdefault(request.kind, Counter())[send(server.port, request.data)] += 1
    alive = server.client.get("/health").status_code
    after = set(folder.parent.iterdir()) | set(folder.iterdir())
    left = [str(path) for name in ("inputs", "runs", "tmp", "stopped") for path in (server.folder / name).iterdir()]
    code = server.stop()
    statuses = {kind: dict(sorted(counts.items())) for kind, counts in found.items()}
    return {
        "statuses": statuses,
        "requests": sum(sum(counts.values()) for counts in found.values()),
        "not 4xx": sum(n for counts in found.values() for code, n in counts.items() if not 400 <= code < 500),
        "health afterwards": alive,
        "jobs": len(json.loads(server.folder.joinpath("jobs.json").read_text(encoding="utf-8"))),
        "left in the folder": left,
        "outside": server.outside() + [str(path) for path in after - before],
        "exit code": code,
    }


def killed(folder: Path, jobs: int = 6, kills: int = 2) -> dict[str, object]:
    """Every job whose 202 came is done, however often everything was killed."""
    server, accepted, stop = Served(folder, "--workers", "2", "--threads", "1"), [], threading.Event()
    server.start()

    def keep_sending() -> None:
        while not stop.is_set() and len(accepted) < jobs:
            try:
                answer = server.client.post("/v1/jobs", files={"picture": demo_picture().read_bytes()}, data=TINY)
                if answer.status_code == 202:
                    accepted.append(answer.json()["id"])
            except httpx.TransportError:
                time.sleep(0.2)
            time.sleep(1.0)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    for _ in range(kills):
        while not any(job["status"] == "running" and job["step"] > 0 for job in server.jobs().values()):
            time.sleep(0.1)
        server.kill_all()
        server.start()
    sender.join()
    found = server.wait(170.0)
    attempts = sum(job["attempt"] for job in found.values())
    meshes = [server.client.get(f"/v1/jobs/{job}/files/mesh.glb").content[:4] for job in accepted]
    stop.set()
    code = server.stop()
    return {
        "accepted": len(accepted),
        "lost": len(set(accepted) - set(found)),
        "statuses": dict(Counter(found[job]["status"] for job in accepted)),
        "meshes": meshes.count(b"glTF"),
        "kills": kills,
        "attempts": attempts,
        "outside": server.outside(),
        "exit code": code,
    }


def eight(folder: Path) -> dict[str, object]:
    """Eight jobs at once, two workers."""
    server = Served(folder, "--workers", "2", "--threads", "1")
    server.start()
    started, most = time.monotonic(), 0
    for _ in range(8):
        answer = server.client.post("/v1/jobs", files={"picture": demo_picture().read_bytes()}, data=TINY)
        assert answer.status_code == 202, answer.text
    sent_s = time.monotonic() - started
    while is_busy(jobs := server.jobs()):
        most = max(most, sum(job["status"] == "running" for job in jobs.values()))
        time.sleep(0.3)
    seconds = time.monotonic() - started
    code = server.stop()
    statuses = dict(Counter(job["status"] for job in jobs.values()))
    return {
        "statuses": statuses,
        "at once": most,
        "sent, s": round(sent_s, 1),
        "all done, s": round(seconds, 1),
        "exit code": code,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="n2m_served_") as place:
        inner = Path(place) / "inner"
        inner.mkdir()
        for name, value in {"hostile": hostile, "killed": killed, "eight": eight}[sys.argv[1]](inner).items():
            print(f"{name}: {value}", flush=True)
