"""The routes: send a picture, ask how its job stands, listen to progress, cancel, fetch the mesh, delete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Header, Query, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel

from nerf2mesh import __version__
from nerf2mesh.serve.asked import Asker
from nerf2mesh.serve.crew import Crew
from nerf2mesh.serve.gate import Gate
from nerf2mesh.serve.refused import Refused
from nerf2mesh.serve.store import FILES, Job, Store
from nerf2mesh.utils.without_paths import without_paths

POLL_S, PING_S = 0.5, 15.0
OVER = ("done", "failed", "cancelled")
MEDIA = {".glb": "model/gltf-binary", ".html": "text/html", ".mp4": "video/mp4", ".json": "application/json"}
DESCRIPTION = """A picture goes in, a textured mesh comes out. Jobs wait in a queue on the server's disk: one that was
accepted survives a restart. Where the server has a token, every request but this page's brings
`Authorization: Bearer TOKEN`."""


class Health(BaseModel):
    """The server and its queue."""

    version: str
    jobs: dict[str, int]
    problem: str


class Problem(BaseModel):
    """Why a request was refused, in one line."""

    detail: str


ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem} for code in (401, 404, 409, 413, 415, 422, 429, 507)
}


def create_app(store: Store, crew: Crew | None, asker: Asker, token: str | None) -> FastAPI:
    """The application. crew: None leaves the jobs to others; it lives as long as the application."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        if crew:
            crew.start()
        yield
        if crew:
            await run_in_threadpool(crew.stop)

    app = FastAPIOffline(
        redoc_url=None,
        title="nerf2mesh-serve",
        version=str(__version__),
        description=DESCRIPTION,
        lifespan=life,
        redirect_slashes=False,
        swagger_ui_parameters={"validatorUrl": None},
        swagger_ui_oauth2_redirect_url="/docs/oauth2-redirect",
    )
    app.add_middleware(Gate, token=token, limits=store.limits)
    _add_errors(app)
    _add_common(app, store, crew, asker)
    _add_sending(app, store, asker)
    _add_looking(app, store)
    _add_fetching(app, store)
    return app


def _add_errors(app: FastAPI) -> None:
    """Every refusal is {"detail": one line}."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name, said = str(first["loc"][-1]), " ".join(str(first["msg"]).split())
        return JSONResponse({"detail": f"{name}: expected what /docs shows, got another ({said}); correct it"}, 422)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        heads = {"Retry-After": "30"} if error.status == 429 else {}
        return JSONResponse({"detail": str(error)}, error.status, heads)


def _add_common(app: FastAPI, store: Store, crew: Crew | None, asker: Asker) -> None:
    @app.get("/", include_in_schema=False)
    def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    @app.get("/health")
    def health() -> Health:
        """Whether the server is there, jobs by status, and what holds the workers up, if anything does."""
        return Health(
            version=str(__version__), jobs=store.counts(), problem=without_paths(crew.problem) if crew else ""
        )

    @app.get("/v1/settings", responses=ERRORS)
    def settings() -> dict[str, str]:
        """The settings that a job may name, and their values in words."""
        return asker.described()


def _add_sending(app: FastAPI, store: Store, asker: Asker) -> None:
    @app.post("/v1/jobs", status_code=202, responses=ERRORS)
    async def send(
        response: Response,
        picture: Annotated[UploadFile, File(description="A PNG, JPEG or WebP file.")],
        settings: Annotated[str, Form(description='JSON, such as {"preset": "preview"}; see /v1/settings.')] = "{}",
        idempotency_key: Annotated[str | None, Header(min_length=8, max_length=200)] = None,
    ) -> Job:
        """Takes a picture. The job is on the server's disk when the answer (202) comes; the same Idempotency-Key gives
        the same job (200), so that a request without an answer can be sent again."""
        data = await picture.read()
        suffix, asked = await run_in_threadpool(asker.asked, data, settings)
        job, new = await run_in_threadpool(store.add, data, suffix, asked, idempotency_key or "")
        response.status_code = 202 if new else 200
        response.headers["Location"] = f"/v1/jobs/{job}"
        return _here(await run_in_threadpool(store.view, job))

    @app.post("/v1/jobs/{job}/cancel", status_code=202, responses=ERRORS)
    def cancel(job: str) -> Job:
        """Gives the job up; one that runs ends within seconds. 409 for a job that is over."""
        if _here(store.view(job)).status in OVER:
            raise Refused(409, "job: expected one that waits or runs, got one that is over; see its status")
        store.stop(job, "cancelled")
        return _here(store.view(job))

    @app.delete("/v1/jobs/{job}", status_code=204, responses=ERRORS)
    def delete(job: str) -> None:
        """Deletes the files of a job that is over."""
        _here(store.view(job))
        store.remove(job)


def _add_looking(app: FastAPI, store: Store) -> None:
    listeners = asyncio.Semaphore(store.limits.streams)

    @app.get("/v1/jobs", responses=ERRORS)
    def jobs(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[Job]:
        """The newest jobs first."""
        return store.views(limit)

    @app.get("/v1/jobs/{job}", responses=ERRORS)
    def one(job: str) -> Job:
        """How the job stands."""
        return _here(store.view(job))

    @app.get("/v1/jobs/{job}/events", responses=ERRORS, response_class=StreamingResponse)
    async def events(job: str) -> StreamingResponse:
        """Progress as server-sent events, each with the job as JSON: `progress` at every change, at last `done`,
        `failed` or `cancelled`."""
        _here(await run_in_threadpool(store.view, job))
        if listeners.locked():
            raise Refused(429, f"events: expected at most {store.limits.streams} listeners, got one more; wait")
        return StreamingResponse(_events(store, job, listeners), media_type="text/event-stream")


async def _events(store: Store, job: str, listeners: asyncio.Semaphore) -> AsyncIterator[str]:
    """Server-sent events until the job is over or deleted."""
    async with listeners:
        said, silent_s = None, 0.0
        while True:
            view = await run_in_threadpool(store.view, job)
            if view is None:
                return
            shown = (view.status, view.step, view.before, view.attempt)
            if shown != said:
                name = view.status if view.status in OVER else "progress"
                yield f"event: {name}\ndata: {json.dumps(asdict(view))}\n\n"
                said, silent_s = shown, 0.0
            elif silent_s >= PING_S:
                yield ": still here\n\n"
                silent_s = 0.0
            if view.status in OVER:
                return
            await asyncio.sleep(POLL_S)
            silent_s += POLL_S


def _add_fetching(app: FastAPI, store: Store) -> None:
    @app.get("/v1/jobs/{job}/files/{name}", responses=ERRORS, response_class=FileResponse)
    def fetch(job: str, name: str) -> FileResponse:
        """A file of a job that is done: mesh.glb, report.html and what else `files` names."""
        path = store.file(job, name) if name in _here(store.view(job)).files else None
        if path is None:
            raise Refused(404, f"file: expected one of {', '.join(FILES)}, got none of that name; see the job's files")
        return FileResponse(path, media_type=_media(path), filename=f"{job}-{name}")


def _here(job: Job | None) -> Job:
    """Refused, 404, where there is none."""
    if job is None:
        raise Refused(404, "job: expected the id of a job that is here, got another; see /v1/jobs")
    return job


def _media(path: Path) -> str:
    return MEDIA.get(path.suffix, "text/plain")
