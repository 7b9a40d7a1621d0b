# SPDX-License-Identifier: Apache-2.0
"""What the operator page is asked for: its files, the state of slots, history, export, start."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from esp_station.export import csv_lines
from esp_station.page.guard import Guard
from esp_station.records import RESULTS, Attempt, Query
from esptool.errors import FatalError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from esp_station.station import Station

FILES = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    # Nothing from elsewhere is loaded, run or shown, and the address is told to nobody.
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; form-action 'none'; "
    "base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
#: How often the state is looked at, and what is sent where nothing has changed.
LOOK_S, BEAT_S = 0.15, 10.0
MOST_SHOWN = 200
_LARGEST_BODY = 4096


class Page:
    """The answers of one station's page.

    Attributes:
        closing: set when streams are to end.
    """

    def __init__(self, station: Station) -> None:
        self.station = station
        self.closing = threading.Event()

    async def file(self, request: Request) -> Response:
        """One of the files that the page is made of."""
        found = FILES.get(request.path_params.get("name", ""))
        if found is None:
            return PlainTextResponse("There is no such page.", 404)
        name, kind = found
        return Response(_content(name), media_type=kind)

    async def settings(self, _request: Request) -> Response:
        """What is done here; nothing of it can be changed from a page."""
        job = self.station.job
        return JSONResponse(
            {
                "station": self.station.name,
                "product": job.identity.product,
                "chip": job.identity.chip.name,
                "job": job.path,
                "hash": job.hash,
                "steps": [step.name for step in job.steps],
                "images": dict(job.images.digests),
                "slots": {slot.name: slot.where for slot in job.slots},
                "rows": None if job.source is None else job.source.key,
            }
        )

    async def state(self, _request: Request) -> Response:
        """Slots and counts, whenever they change, as server-sent events."""
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        last, quiet = "", 0.0
        while not self.closing.is_set():
            state = await run_in_threadpool(self.station.status.to_json)
            text = json.dumps(state)
            if text != last or quiet >= BEAT_S:
                last, quiet = text, 0.0
                yield f"data: {text}\n\n"
            await asyncio.sleep(LOOK_S)
            quiet += LOOK_S
        yield "event: end\ndata: {}\n\n"

    async def history(self, request: Request) -> Response:
        """The latest attempts that a search means."""
        query = _query(request, MOST_SHOWN)
        found = await run_in_threadpool(lambda: list(self.station.book.find(query)))
        return JSONResponse([_short(attempt) for attempt in found])

    async def attempt(self, request: Request) -> Response:
        """All of one attempt."""
        number = int(request.path_params["number"])
        query = Query(number=number)
        found = await run_in_threadpool(lambda: list(self.station.book.find(query)))
        if not found:
            return PlainTextResponse(f"There is no attempt {number}.", 404)
        return JSONResponse(found[0].to_json())

    async def export(self, request: Request) -> Response:
        """All attempts that a search means, as CSV."""
        query = _query(request, None)
        text = await run_in_threadpool(lambda: "".join(csv_lines(self.station.book.find(query))))
        name = {"content-disposition": 'attachment; filename="records.csv"'}
        return Response(text, media_type="text/csv", headers=name)

    async def start(self, request: Request) -> Response:
        """An operator says that a board is in a slot."""
        body = await request.body()
        try:
            slot = str(json.loads(body[:_LARGEST_BODY])["slot"])
            self.station.start_board(slot)
        except (ValueError, TypeError, KeyError):
            return PlainTextResponse('Say which: {"slot": "NAME"}.', 400)
        except FatalError as e:
            return PlainTextResponse(e.message, 404)
        return JSONResponse({"started": slot})


@cache
def _content(name: str) -> bytes:
    return resources.files("esp_station.page").joinpath("files", name).read_bytes()


def _query(request: Request, limit: int | None) -> Query:
    result = request.query_params.get("result")
    return Query(
        text=request.query_params.get("q") or None,
        result=result if result in RESULTS else None,
        limit=limit,
    )


def _short(attempt: Attempt) -> dict[str, Any]:
    """What a line of the history shows."""
    names = ("id", "result", "mac", "row_key", "slot", "station", "started", "seconds")
    more = ("failed_step", "reason")
    return {name: getattr(attempt, name) for name in (*names, *more)}


class Guarded:
    """Refuses what the guard refuses, and tells browsers to be careful with the rest."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            return
        headers = dict(Headers(scope=scope).items())
        reason = self._guard.why_not(scope["method"], scope["path"], headers)
        if reason is not None:
            await PlainTextResponse(reason, 403, HEADERS)(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                pairs = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *pairs]
            await send(message)

        await self._app(scope, receive, with_headers)


def make_app(page: Page, guard: Guard) -> ASGIApp:
    """The page as an ASGI application, below the path of its token."""
    base = f"/{guard.token}"
    routes = [
        Route(f"{base}/", page.file),
        Route(f"{base}/settings", page.settings),
        Route(f"{base}/state", page.state),
        Route(f"{base}/history", page.history),
        Route(f"{base}/attempt/{{number:int}}", page.attempt),
        Route(f"{base}/records.csv", page.export),
        Route(f"{base}/start", page.start, methods=["POST"]),
        Route(f"{base}/{{name:str}}", page.file),
    ]
    return Guarded(Starlette(routes=routes), guard)
