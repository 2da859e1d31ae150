"""The link from a task to its job in Salesforce Setup."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk.links.job import LINK_XCOM_KEY, BulkJobLink, job_url
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from tests.provider.conftest import FakeTask

ORG = "https://acme.my.salesforce.com"


@pytest.mark.parity("G5.7")
def test_one_job_has_a_page_of_its_own() -> None:
    address = job_url(ORG, ["750LO0000000001YAA"])
    assert address == f"{ORG}/lightning/setup/AsyncApiJobStatus/page?address=%2F750LO0000000001YAA"


def test_several_jobs_have_the_list() -> None:
    assert job_url(ORG, ["750A", "750B"]) == f"{ORG}/lightning/setup/AsyncApiJobStatus/home"


def made(kind: str) -> Any:
    match kind:
        case "query":
            return BulkQueryOperator(task_id="t", soql="SELECT Id FROM Account", deferrable=False)
        case "ingest":
            return BulkIngestOperator(task_id="t", sobject="Account", operation="insert", source=[{"Name": "x"}])
        case _:
            return BulkJobSensor(task_id="t", job_id="750LO0000000001YAA", job_type="ingest", poke_interval=0.01)


@pytest.mark.parametrize("kind", ["query", "ingest", "sensor"])
def test_it_is_on_every_task_that_has_a_job(kind: str) -> None:
    operator: BaseOperator = made(kind)
    (link,) = operator.operator_extra_links
    assert isinstance(link, BulkJobLink)
    assert link.name == "Salesforce job"
    assert link.xcom_key == LINK_XCOM_KEY


@pytest.mark.parametrize("kind", ["query", "ingest"])
def test_what_airflow_writes_at_the_end_is_what_the_task_wrote(kind: str, org: LocalOrg, task: FakeTask) -> None:
    attempt, operator = task.start(), made(kind)
    attempt.run(operator)
    written = attempt.xcoms[LINK_XCOM_KEY]
    assert written == job_url(org.url, [org.jobs[0].id])
    assert BulkJobLink().get_link(operator, ti_key=None) == written  # type: ignore[arg-type]


def test_before_there_is_a_job_there_is_no_link() -> None:
    assert BulkJobLink().get_link(made("query"), ti_key=None) == ""  # type: ignore[arg-type]


def test_a_deferred_task_has_its_link(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    attempt = task.start()
    operator = BulkQueryOperator(task_id="t", soql="SELECT Id FROM Account", deferrable=True)
    with pytest.raises(TaskDeferred):
        operator.execute(attempt.context)
    assert BulkJobLink().get_link(operator, ti_key=None) == attempt.xcoms[LINK_XCOM_KEY]  # type: ignore[arg-type]
