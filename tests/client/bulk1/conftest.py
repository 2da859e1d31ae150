"""A running org, a client of it, and faults that lose what is on its way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.responses import Response

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Dropped, Exchange, Fault

QUICK = Schedule(first=0.02, growth=0.1, longest=0.2)


@pytest.fixture(scope="module")
def shared_org() -> Iterator[LocalOrg]:
    with LocalOrg() as org:
        yield org


@pytest.fixture
def org(shared_org: LocalOrg) -> Iterator[LocalOrg]:
    shared_org.calls.clear()
    yield shared_org
    shared_org.core.faults.clear()
    shared_org.core.not_processed = "NotProcessed"
    shared_org.core.result_file_bytes = 1_000_000_000


def settings(org: LocalOrg) -> dict[str, str]:
    return {"host": org.url, "client_id": org.client_id, "client_secret": org.client_secret}


@pytest.fixture
def client(org: LocalOrg) -> Iterator[BulkClient]:
    with BulkClient(**settings(org)) as made:
        yield made


class Once(Fault):
    """Happens at the calls of these numbers, from 1, counted from its making."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self.seen = 0

    def is_due(self) -> bool:
        self.seen += 1
        return self.seen in self._numbers


class LostReply(Once):
    """The call has its effect, and nothing is answered."""

    async def after(self, exchange: Exchange, response: Response) -> Response:
        if self.is_due():
            raise Dropped
        return response


class LostRequest(Once):
    """The call has no effect, and nothing is answered."""

    async def before(self, exchange: Exchange) -> Response | None:
        if self.is_due():
            raise Dropped
        return None
