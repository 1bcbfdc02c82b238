"""The web application: its page, uploads, progress, reports."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lipinc.serve.jobs import Full, Job, Jobs, State

ASSETS = {
    "": ("index.html", "text/html"),
    "style.css": ("style.css", "text/css"),
    "script.js": ("script.js", "text/javascript"),
}
"""Path -> file of the page and its media type."""
MAX_SILENCE = 30
"""Seconds without a byte after which an upload is given up."""
REPORT_POLICY = "connect-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of a report, in addition to the stricter one that the page itself contains."""


def create_app(jobs: Jobs, *, max_bytes: int, upload_time: float) -> Starlette:
    """Create the application. It trusts every request: put `Guard` in front of it.

    Args:
        jobs: the videos.
        max_bytes: maximum size of a video, in bytes.
        upload_time: maximum time of an upload, in s.
    """

    async def upload(request: Request) -> Response:
        promised = request.headers.get("content-length")
        size = None if promised is None else int(promised)
        if size is not None and size > max_bytes:
            raise _too_large(max_bytes)
        try:
            job = jobs.add(request.query_params.get("name", ""), size)
        except Full as full:
            raise HTTPException(503, str(full), {"Retry-After": "2"}) from None
        except OSError as error:
            raise _disk_error(error) from None
        try:
            with anyio.fail_after(upload_time):
                await _receive(request, jobs, job, max_bytes)
        except TimeoutError:
            raise HTTPException(408, "The upload took too long and was given up; send the video again.") from None
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except OSError as error:
            raise _disk_error(error) from None
        else:
            jobs.submit(job)
        finally:
            if job.state is State.RECEIVING:
                jobs.delete(job)
        return JSONResponse({"id": job.id}, 201)

    async def videos(_: Request) -> Response:
        shown = [_values(job) for job in jobs.all()]
        free = jobs.max_jobs - len(jobs.unfinished())
        return JSONResponse({"videos": shown, "free": free, "max_bytes": max_bytes})

    async def delete(request: Request) -> Response:
        jobs.delete(_find(jobs, request))
        return Response(status_code=204)

    async def report(request: Request) -> Response:
        outcome = _find(jobs, request).outcome
        try:
            content = outcome.report.read_bytes() if outcome else None
        except FileNotFoundError:  # just deleted
            content = None
        if content is None:
            raise HTTPException(404, "This video has no report.")
        disposition = f'inline; filename="{outcome.report.name}"'  # the name under which a browser saves it
        headers = {"Content-Security-Policy": REPORT_POLICY, "Content-Disposition": disposition}
        return Response(content, media_type="text/html", headers=headers)

    return Starlette(
        routes=[
            *(Route(f"/{path}", _asset(*asset)) for path, asset in ASSETS.items()),
            Route("/videos", videos, methods=["GET"]),
            Route("/videos", upload, methods=["POST"]),
            Route("/videos/{id}", delete, methods=["DELETE"]),
            Route("/videos/{id}/report", report, methods=["GET"]),
        ]
    )


async def _receive(request: Request, jobs: Jobs, job: Job, max_bytes: int) -> None:
    """Write the body of a request to the file of a job."""
    stream = request.stream()
    with job.upload.open("xb") as file:
        while True:
            with anyio.fail_after(MAX_SILENCE):
                piece = await anext(stream, None)
            if piece is None:
                break
            if jobs.get(job.id) is None:
                raise HTTPException(410, "The video was deleted while it was received.")
            job.received += len(piece)
            if job.received > max_bytes:
                raise _too_large(max_bytes)
            file.write(piece)
    if job.received == 0:
        raise HTTPException(400, "The file is empty.")


def _values(job: Job) -> dict[str, Any]:
    """Return what the page shows of a video."""
    outcome = job.outcome
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state.value,
        "received": job.received,
        "size": job.size,
        "frames": job.frames[0],
        "promised_frames": job.frames[1],
        "verdict": outcome.verdict if outcome else "",
        "detail": outcome.detail if outcome else job.problem,
    }


def _find(jobs: Jobs, request: Request) -> Job:
    job = jobs.get(request.path_params["id"])
    if job is None:
        raise HTTPException(404, "There is no such video; it may have been deleted.")
    return job


def _asset(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = (files("lipinc.serve") / "assets" / name).read_bytes()

    async def asset(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return asset


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"The video is larger than {max_bytes / 1e9:g} GB, the limit of this server.")


def _disk_error(error: OSError) -> HTTPException:
    return HTTPException(507, f"The video cannot be stored ({error.strerror}); free some space and send it again.")
