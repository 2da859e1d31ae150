"""pytest plugin: the fixture ``salesforce_org``, a new local org for each test.

pytest loads this in every run of everybody who has the package, so nothing is imported before a test asks for the
fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_sfbulk.local_org.org import LocalOrg


@pytest.fixture
def salesforce_org(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalOrg]:
    """Yield a running local org with the standard objects; jobs take no time.

    It is the Airflow connection ``salesforce_bulk_default`` and that of ``BulkClient.from_env`` while the test runs.
    """
    from airflow_provider_sfbulk.local_org import LocalOrg as Org  # noqa: PLC0415 - see the module

    with Org() as org:
        _point_here(org, monkeypatch)
        yield org


@pytest.fixture(scope="session")
def salesforce_session_org() -> Iterator[LocalOrg]:
    """Yield one running local org for all tests. What a test changes in it the next one sees: call ``org.reset()``, or
    ``org.snapshot()`` once and ``org.restore()`` in each test."""
    from airflow_provider_sfbulk.local_org import LocalOrg as Org  # noqa: PLC0415 - see the module

    with Org() as org, pytest.MonkeyPatch.context() as monkeypatch:
        _point_here(org, monkeypatch)
        yield org


def _point_here(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", org.connection)
    for name, value in org.environment.items():
        monkeypatch.setenv(name, value)
