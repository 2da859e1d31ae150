"""The page in Airflow's UI with the progress of the jobs of a task, of a run, and of all runs, and the API server's
listeners.

Airflow imports this in each of its processes, including tasks, so it imports almost nothing; the app is built only where
it is served, in the API server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_sfbulk.task import ended_by_person

PREFIX: Final = "salesforce-bulk"
"""First part of the page's path, behind Airflow's own base path."""


class Built:
    """A list that is made when it is first read, which costs two seconds of imports."""

    def __init__(self, build: Callable[[], list[dict[str, Any]]]) -> None:
        self._build = build
        self._built: list[dict[str, Any]] | None = None

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        if self._built is None:
            self._built = self._build()
        return self._built


def _apps() -> list[dict[str, Any]]:
    from airflow_provider_sfbulk.plugin.app import build_app  # noqa: PLC0415 - see above

    return [{"app": build_app(), "url_prefix": f"/{PREFIX}", "name": "Salesforce Bulk API"}]


VIEWS: Final[list[Any]] = [
    {
        "name": "Salesforce jobs",
        "href": f"{PREFIX}/task/{{DAG_ID}}/{{RUN_ID}}/{{TASK_ID}}/{{MAP_INDEX}}",
        "url_route": "salesforce_bulk_task",
        "destination": "task_instance",
    },
    {
        "name": "Salesforce jobs",
        "href": f"{PREFIX}/run/{{DAG_ID}}/{{RUN_ID}}",
        "url_route": "salesforce_bulk_run",
        "destination": "dag_run",
    },
    {
        "name": "Salesforce jobs",
        "href": f"{PREFIX}/jobs",
        "url_route": "salesforce_bulk_jobs",
        "destination": "nav",
        "category": "browse",
    },
]
"""The places in Airflow's UI. The URLs have no leading slash, so that they work behind a base path like ``/airflow``.
Airflow leaves ``{MAP_INDEX}`` unchanged for a task that is not mapped."""


class SalesforceBulkPlugin(AirflowPlugin):
    """Registered by the entry point group ``airflow.plugins``."""

    name = "salesforce_bulk"
    fastapi_apps = Built(_apps)
    external_views = VIEWS
    listeners = [ended_by_person]  # noqa: RUF012 - Airflow's attribute
