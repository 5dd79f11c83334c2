"""The routes: what is accepted is on the disk, what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image

from nerf2mesh.serve.gate import UPLOADS
from nerf2mesh.serve.store import FILES, Store
from nerf2mesh.sweep.queue import Queue
from tests.serve.standin import TOKEN, client_of, picture, store_in

TINY = {"settings": '{"preset": "tiny"}'}
Steps = Callable[[httpx.AsyncClient], Awaitable[None]]


def talk(store: Store, steps: Steps, token: str | None = None, **asker: object) -> None:
    async def whole() -> None:
        async with client_of(store, token, **asker) as client:
            await steps(client)

    asyncio.run(whole())


def sent(data: bytes = b"", name: str = "cup.png") -> dict:
    return {"picture": (name, data or picture(), "image/png")}


def finish(store: Store, job: str) -> None:
    """What a worker does."""
    claim = store.queue.claim("worker-1")
    assert claim is not None and claim.job == job
    run = store.run(job)
    run.mkdir(parents=True)
    (run / "mesh.glb").write_bytes(b"glTF mesh")
    (run / "metrics.jsonl").write_text('{"step": 3, "time_s": 1}\n{"step": 4, "time_s": 2}\n')
    store.queue.finish(claim, "worker-1", {"warnings": ["said"]}, 2.0)


def test_a_job_is_on_the_disk_when_it_was_accepted(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    async def steps(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/jobs", files=sent(name="../../../x.png"), data=TINY)
        assert answer.status_code == 202 and answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        job = answer.json()["id"]
        found = Queue(store.folder)
        found.refresh()
        assert list(found.jobs) == [job] and found.jobs[job].status == "waiting"
        assert found.payloads[job]["overrides"] == ["preset=tiny"] and found.payloads[job]["steps"] == 4
        assert (store.folder / "inputs" / f"{job}.png").read_bytes() == picture()
        assert (await client.get(f"/v1/jobs/{job}")).json() == answer.json()
        assert [item["id"] for item in (await client.get("/v1/jobs")).json()] == [job]

    talk(store, steps)
    assert not list(tmp_path.glob("*.png"))
    again = store_in(tmp_path)
    assert again.counts()["waiting"] == 1, "a restart finds it"


def test_the_same_key_is_the_same_job(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    async def steps(client: httpx.AsyncClient) -> None:
        heads = {"Idempotency-Key": "my key no 1"}
        codes = [(await client.post("/v1/jobs", files=sent(), data=TINY, headers=heads)).status_code for _ in range(3)]
        other = await client.post("/v1/jobs", files=sent(picture(size=(9, 9))), data=TINY, headers=heads)
        assert codes == [202, 200, 200] and other.status_code == 409

    talk(store, steps)
    assert len(store.queue.jobs) == 1 and len(list((store.folder / "inputs").iterdir())) == 1


def test_mesh_and_progress_are_fetched_and_deleted(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    async def steps(client: httpx.AsyncClient) -> None:
        job = (await client.post("/v1/jobs", files=sent(), data=TINY)).json()["id"]
        assert (await client.get(f"/v1/jobs/{job}/files/mesh.glb")).status_code == 404, "not done"
        assert (await client.delete(f"/v1/jobs/{job}")).status_code == 409
        finish(store, job)
        found = await client.get(f"/v1/jobs/{job}/files/mesh.glb")
        assert (found.content, found.headers["content-type"]) == (b"glTF mesh", "model/gltf-binary")
        assert found.headers["content-disposition"].startswith("attachment")
        told = await client.get(f"/v1/jobs/{job}/events")
        name, data = told.text.strip().split("\n")
        view = json.loads(data.removeprefix("data: "))
        assert name == "event: done" and (view["step"], view["steps"], view["files"]) == (4, 4, ["mesh.glb"])
        assert view["warnings"] == ["said"]
        for path in ("jobs.json", "..%2f..%2fjobs.json", "metrics.jsonl", "%2e%2e/%2e%2e/token", "checkpoints"):
            assert (await client.get(f"/v1/jobs/{job}/files/{path}")).status_code == 404
        (store.run(job) / "report.html").symlink_to(tmp_path / "secret")
        (tmp_path / "secret").write_text("secret")
        assert (await client.get(f"/v1/jobs/{job}/files/report.html")).status_code == 404, "links are not followed"
        assert (await client.delete(f"/v1/jobs/{job}")).status_code == 204
        assert (await client.get(f"/v1/jobs/{job}")).status_code == 404
        assert (await client.get("/v1/jobs")).json() == []

    talk(store, steps)
    assert not any((store.folder / "runs").iterdir()) and not any((store.folder / "inputs").iterdir())
    assert store_in(tmp_path).views(10) == [], "a restart keeps it deleted"


def test_a_waiting_job_is_cancelled_at_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    async def steps(client: httpx.AsyncClient) -> None:
        job = (await client.post("/v1/jobs", files=sent(), data=TINY)).json()["id"]
        assert (await client.post(f"/v1/jobs/{job}/cancel")).json()["status"] == "cancelled"
        assert (await client.post(f"/v1/jobs/{job}/cancel")).status_code == 409
        assert "event: cancelled" in (await client.get(f"/v1/jobs/{job}/events")).text

    talk(store, steps)
    assert store.queue.claim("worker-1") is None
    assert store_in(tmp_path).counts()["cancelled"] == 1


def test_a_full_queue_and_a_full_disk_take_nothing(tmp_path: Path) -> None:
    small = store_in(tmp_path / "queue", queue=1)
    full = store_in(tmp_path / "disk", disk_gib=0.001)
    (full.folder / "runs" / "old").write_bytes(bytes(2 << 20))
    full = store_in(tmp_path / "disk", disk_gib=0.001)

    async def two(client: httpx.AsyncClient) -> None:
        answers = [await client.post("/v1/jobs", files=sent(), data=TINY) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 429]
        assert answers[1].headers["retry-after"]

    async def one(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/jobs", files=sent(), data=TINY)).status_code == 507

    talk(small, two)
    talk(full, one)
    assert not full.queue.jobs and not any((full.folder / "inputs").iterdir())


@pytest.mark.parametrize(
    "given, code",
    [({}, 401), ({"Authorization": f"Bearer {TOKEN}"}, 200), ({"Authorization": f"bearer  {TOKEN} "}, 200)]
    + [
        ({"Authorization": text}, 401)
        for text in (TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer ", "Bearer")
    ]
    + [({"Authorization": f"Bearer {TOKEN}", "Origin": "http://elsewhere.invalid"}, 403)],
)
def test_only_the_token_opens(given: dict[str, str], code: int, tmp_path: Path) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        assert (await client.get("/v1/jobs", headers=given)).status_code == code
        assert (await client.get("/health")).status_code == 200

    talk(store_in(tmp_path), steps, TOKEN)


def test_on_this_machine_no_page_from_elsewhere_gets_in(tmp_path: Path) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        for heads, code in (
            ({"Host": "127.0.0.1:8088"}, 200),
            ({"Host": "localhost"}, 200),
            ({"Host": "[::1]:8088"}, 200),
            ({"Host": "elsewhere.invalid"}, 403),
            ({"Host": "127.0.0.1.elsewhere.invalid"}, 403),
            ({"Origin": "http://elsewhere.invalid"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://127.0.0.1:8088"}, 200),
        ):
            assert (await client.get("/v1/jobs", headers=heads)).status_code == code, heads

    talk(store_in(tmp_path), steps)


async def chunks(size: int, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(size // 1000):
        await asyncio.sleep(pause_s)
        yield b"x" * 1000


def test_bodies_are_counted_as_they_come(tmp_path: Path) -> None:
    store = store_in(tmp_path, body_mib=0.02, body_s=0.3)

    async def steps(client: httpx.AsyncClient) -> None:
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        assert (await client.post("/v1/jobs", files=sent(bytes(30_000)))).status_code == 413, "told beforehand"
        assert (await client.post("/v1/jobs", content=chunks(50_000), headers=form)).status_code == 413, "not told"
        slow = await client.post("/v1/jobs", content=chunks(20_000, 0.05), headers=form)
        assert slow.status_code == 408
        big = await client.post("/v1/jobs/x/cancel", content=bytes(100_000))
        assert big.status_code == 413

    talk(store, steps)
    assert not store.queue.jobs


def test_who_cancels_does_not_wait_for_pictures_that_come_slowly(tmp_path: Path) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        begun, end = asyncio.Semaphore(0), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"x"
            begun.release()
            await end.wait()
            yield b"x"

        form = {"Content-Type": "multipart/form-data; boundary=b"}
        slow = [asyncio.create_task(client.post("/v1/jobs", content=slowly(), headers=form)) for _ in range(UPLOADS)]
        for _ in slow:
            await begun.acquire()
        assert (await client.post("/v1/jobs/none/cancel")).status_code == 404
        assert not any(task.done() for task in slow)
        end.set()
        assert {answer.status_code for answer in await asyncio.gather(*slow)} == {400}

    talk(store_in(tmp_path, body_s=5.0), steps)


def pictures() -> list[tuple[bytes, int]]:
    moving = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (k, 0, 0)) for k in (0, 200)]
    frames[0].save(moving, "WEBP", save_all=True, append_images=frames[1:])
    bomb = bytearray(picture(size=(9, 9)))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the head of a PNG, and its checksum
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    return [
        (b"no picture", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (picture("GIF"), 415),
        (picture("TIFF"), 415),
        (b"\x00", 415),
        (picture(size=(64, 64))[:60], 422),
        (moving.getvalue(), 422),
        (picture(size=(200, 100)), 413),
        (bytes(bomb), 413),
        (picture("JPEG"), 202),
        (picture("WEBP"), 202),
    ]


def test_pictures_are_what_they_are_whatever_they_are_called(tmp_path: Path) -> None:
    store = store_in(tmp_path, megapixels=0.01)

    said: list[str] = []

    async def steps(client: httpx.AsyncClient) -> None:
        for data, code in pictures():
            answer = await client.post("/v1/jobs", files=sent(data), data=TINY)
            assert answer.status_code == code, (data[:20], answer.text)
            said.append(answer.json().get("detail", "picture: taken"))

    talk(store, steps)
    endings = sorted(path.suffix for path in (store.folder / "inputs").iterdir())
    assert endings == [".jpg", ".webp"], "the ending is the content's"
    assert all(re.fullmatch(r"picture: (expected .+, got .+; .+|taken)", line) for line in said), said


def test_a_request_of_another_form_is_refused_in_one_line(tmp_path: Path) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        answers = [
            await client.post("/v1/jobs", data=TINY),
            await client.get("/v1/jobs?limit=0"),
            await client.get("/v1/jobs/none"),
            await client.get("/v1/jobs/none/files/mesh.glb"),
            await client.post("/v1/jobs", files=sent(), data=TINY, headers={"Idempotency-Key": "short"}),
        ]
        assert [answer.status_code for answer in answers] == [422, 422, 404, 404, 422]
        names = [re.fullmatch(r"([\w-]+): expected .+, got .+; .+", answer.json()["detail"]) for answer in answers]
        assert [name and name[1] for name in names] == ["picture", "limit", "job", "job", "idempotency-key"]

    talk(store_in(tmp_path), steps)


def test_jobs_know_how_many_wait_before_them(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    async def steps(client: httpx.AsyncClient) -> None:
        ids = [(await client.post("/v1/jobs", files=sent(), data=TINY)).json()["id"] for _ in range(4)]
        finish(store, ids[0])
        await client.post(f"/v1/jobs/{ids[2]}/cancel")
        views = (await client.get("/v1/jobs")).json()
        assert [(view["id"], view["before"]) for view in views] == [*zip(reversed(ids), (1, 0, 0, 0))]
        schema = (await client.get("/openapi.json")).json()["components"]["schemas"]["Job"]
        assert set(schema["properties"]) == set(views[0]) and schema["description"] == "How a job stands."

    talk(store, steps)


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{", '{"seed": 1e999}', '{"a": ' * 3000, '{"preset": "hi' + "x" * 40_000]
)
def test_settings_that_are_none_are_422(text: str, tmp_path: Path) -> None:
    store = store_in(tmp_path)

    async def steps(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/jobs", files=sent(), data={"settings": text})
        assert answer.status_code == (422 if text else 202), "an empty field counts as left out"

    talk(store, steps)


def test_the_page_of_the_interface_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        page = (await client.get("/docs")).text
        loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
        assert loaded and all(name.startswith("/static-offline-docs/") for name in loaded)
        for name in loaded:
            assert (await client.get(name)).status_code == 200
        policy = (await client.get("/docs")).headers["content-security-policy"]
        assert policy.startswith("default-src 'self';") and "http" not in policy
        routes = (await client.get("/openapi.json")).json()["paths"]
        assert set(routes) == {
            "/health",
            "/v1/settings",
            "/v1/jobs",
            "/v1/jobs/{job}",
            "/v1/jobs/{job}/cancel",
            "/v1/jobs/{job}/events",
            "/v1/jobs/{job}/files/{name}",
        }
        assert (await client.get("/redoc")).status_code == 404 and "mesh.glb" in FILES

    talk(store_in(tmp_path), steps)
