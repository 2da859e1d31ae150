"""The page as Airflow's API server serves it: a shell without data, a script and a style sheet.

The script reads Airflow's public REST API with the user's own session, so Airflow decides with each read what the user may
see. The shell is guarded, too, so that a tab that can show nothing says so at once. Only this module imports parts of
Airflow that are not public API (the guards).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, Response
from fastapi.responses import FileResponse, HTMLResponse

STATIC: Final = Path(__file__).parent / "static"

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        # Text becomes no markup: whatever of the DOM would make it so raises.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

SHELL: Final = """<!doctype html>
<html lang="en" data-view="{view}" data-up="{up}">
<head>
<meta charset="utf-8">
<title>Salesforce jobs</title>
<link rel="stylesheet" href="{up}static/page.css">
<script type="module" src="{up}static/page.js"></script>
</head>
<body><main><p class="quiet">Reading …</p></main></body>
</html>
"""

VIEWS: Final = {
    "task": "/task/{dag_id}/{run_id}/{task_id}/{map_index}",
    "run": "/run/{dag_id}/{run_id}",
    "jobs": "/jobs",
}
"""Paths by view. The script reads its ids from the URL; the shell repeats nothing of it."""

FILES: Final = {"page.css": "text/css", "page.js": "text/javascript"}


def build_app() -> FastAPI:
    """Make the app."""
    app = FastAPI(title="Salesforce Bulk API", docs_url=None, redoc_url=None, openapi_url=None)
    guards = [
        Depends(requires_access_dag("GET", entity)) for entity in (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)
    ]
    for view, path in VIEWS.items():
        # As many steps up from the page's address as lead to the app's root.
        shell = SHELL.format(view=view, up="../" * (path.count("/") - 1))
        app.get(path, dependencies=guards, response_class=HTMLResponse)(_page(shell))
    for name, media_type in FILES.items():
        app.get(f"/static/{name}")(_file(name, media_type))
    return app


def _page(shell: str) -> Callable[[], Response]:
    def page() -> Response:
        return HTMLResponse(shell, headers=HEADERS)

    return page


def _file(name: str, media_type: str) -> Callable[[], Response]:
    def file() -> Response:
        return FileResponse(STATIC / name, media_type=media_type, headers=HEADERS)

    return file
