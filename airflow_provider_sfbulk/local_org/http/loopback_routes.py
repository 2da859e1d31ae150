"""The org's own addresses: ``/`` and what is below ``/local-org``. Nothing of it is Salesforce's.

================================ =================================================================================
``GET /``, ``GET /local-org``    a page to look at; also at the address of a job's page in Salesforce Setup
``GET /local-org/state``         jobs, calls and faults, as JSON
``GET /local-org/records/NAME``  the records of an object, as JSON; with ``?include_deleted=true`` those deleted, too
``POST /local-org/NAME``         what ``org.NAME(...)`` does, its arguments as a JSON object: see ``control.Control``
================================ =================================================================================

They need no session: the org listens on loopback alone. But pages of other sites run in the same browser as a
person's, so a call must name a loopback host (against names that point here), and a POST must be JSON (which no form
of another site can send without being asked first).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.control import Control
from airflow_provider_sfbulk.local_org.faults.kinds import AskedFault
from airflow_provider_sfbulk.local_org.http import page
from airflow_provider_sfbulk.local_org.http.arguments import check
from airflow_provider_sfbulk.local_org.http.json_body import read_json
from airflow_provider_sfbulk.local_org.http.replies import reply
from airflow_provider_sfbulk.local_org.state import OrgState

PREFIX: Final = "/local-org"
PAGE_PATHS: Final = frozenset({"", "/", PREFIX, f"{PREFIX}/", "/lightning/setup/AsyncApiJobStatus/page"})
"""Where the page is. The last is a job's page in Salesforce Setup, which links in Airflow and the CLI lead to."""

LEVERS: Final = frozenset(
    name for kind in (Control, OrgState) for name, value in vars(kind).items() if callable(value) and name[0] != "_"
)
"""Methods that can be called over HTTP."""

HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src '{page.STYLE_HASH}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
CALLS_SHOWN: Final = 1_000


def is_own(path: str) -> bool:
    """Whether an address is the org's own, and not Salesforce's."""
    return path in PAGE_PATHS or path.startswith(f"{PREFIX}/")


async def answer(control: Control, request: Request) -> Response:
    """Answer a call to one of these addresses."""
    if _host(request) not in ("127.0.0.1", "localhost", "::1"):
        return _refused(403, "this address is for callers on this machine, by its own name")
    name = "" if request.url.path in PAGE_PATHS else request.url.path.removeprefix(f"{PREFIX}/").rstrip("/")
    if request.method == "GET":
        return await _look(control, name, include_deleted=request.query_params.get("include_deleted") == "true")
    if request.method == "POST" and name in LEVERS:
        return await _pull(getattr(control, name), request)
    return _refused(404, f"there is no {request.method} {request.url.path}")


def _host(request: Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return None


async def _look(control: Control, name: str, *, include_deleted: bool) -> Response:
    if not name:
        text = await anyio.to_thread.run_sync(page.render, control.core)
        return HTMLResponse(text, headers=HEADERS)
    if name == "state":
        return reply(_state(control), headers=HEADERS)
    if name.startswith("records/"):
        sobject = control.core.schema.get(name.removeprefix("records/"))
        if sobject is not None:
            read = partial(control.core.store.records, sobject, include_deleted=include_deleted)
            records = await anyio.to_thread.run_sync(read)
            return reply(records, headers=HEADERS)
    return _refused(404, f"there is nothing called {name}")


async def _pull(method: Callable[..., Any], request: Request) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _refused(415, "send application/json")
    try:
        arguments = read_json(await request.body() or b"{}")
        if not isinstance(arguments, dict):
            raise TypeError("send a JSON object")
        check(method, arguments)
        done = await anyio.to_thread.run_sync(lambda: method(**arguments))
    except (ValueError, TypeError, OverflowError) as error:
        return _refused(400, str(error))
    if done is None:
        return reply({"done": True})
    return reply(
        {"done": True, "fault": _fault(done)} if isinstance(done, AskedFault) else {"done": True, "result": done}
    )


def _state(control: Control) -> dict[str, Any]:
    core = control.core
    return {
        "now": clock.in_csv(core.clock.now()),
        "jobs": [
            {
                "id": job.id,
                "jobType": job.kind,
                "object": job.object,
                "operation": job.operation,
                "state": job.state,
                "numberRecordsProcessed": job.processed,
                "numberRecordsFailed": job.failed,
                "errorMessage": job.error_message,
            }
            for job in (entry.job for entry in core.jobs)
        ],
        "calls": [asdict(call) for call in core.calls[-CALLS_SHOWN:]],
        "faults": [_fault(fault) for fault in core.faults if isinstance(fault, AskedFault)],
    }


def _fault(fault: AskedFault) -> dict[str, Any]:
    return {"route": fault.route, "kind": fault.kind, "struck": fault.struck}


def _refused(status: int, why: str) -> Response:
    return reply({"error": why}, status=status, headers=HEADERS)
