"""BulkIngestOperator under hostile users: sources and arguments that are no good, or only look it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from airflow_provider_sfbulk.client.errors import TransientError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

ROWS = [{"Name": "Parasol Works", "External_Key__c": "A-1"}, {"Name": "Umbrella Stand", "External_Key__c": "A-2"}]


def operator(**arguments: Any) -> BulkIngestOperator:
    defaults: dict[str, Any] = {"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False}
    return BulkIngestOperator(**{**defaults, **arguments})


def names(org: LocalOrg) -> list[str]:
    return sorted(row["Name"] for row in org.records("Account"))


class Reader:
    def __call__(self) -> list[dict[str, str]]:
        return list(ROWS)


def copied(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return list(rows)


def fresh_function() -> Callable[[], Any]:
    return lambda: list(ROWS)


def fresh_partial() -> Callable[[], Any]:
    def copied_anew(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        return list(rows)

    return partial(copied_anew, ROWS)


@pytest.mark.parametrize("fresh", [fresh_function, fresh_partial, Reader])
def test_a_callable_of_another_process_is_the_same_source(
    fresh: Callable[[], Callable[[], Any]], org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry runs in another process, where the same function has another address."""
    first, second = fresh(), fresh()
    assert str(first) != str(second)
    dying = operator(source=first)
    monkeypatch.setattr(dying, "_settle", lambda *_, **__: (_ for _ in ()).throw(TransientError("lost")))
    with pytest.raises(TransientError):
        task.start().run(dying)
    assert task.start().run(operator(source=second))["successful"] == 2
    assert names(org) == ["Parasol Works", "Umbrella Stand"]


def test_the_state_store_has_no_value_of_a_record(org: LocalOrg, task: FakeTask) -> None:
    task.start().run(operator(source=partial(copied, ROWS)))
    assert "Parasol" not in str(task.states)
