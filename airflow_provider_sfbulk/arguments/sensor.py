"""Checks of the arguments of ``BulkJobSensor``: the table, and which of them cannot be combined."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from airflow_provider_sfbulk.arguments.shared import APIS, version
from airflow_provider_sfbulk.arguments.table import Arguments
from airflow_provider_sfbulk.client.arguments import allowance, flag, one_of, optional, seconds, shown, text
from airflow_provider_sfbulk.client.errors import MissingSourceError, SourceError
from airflow_provider_sfbulk.client.faces.checks import job_id
from airflow_provider_sfbulk.client.models import JobType
from airflow_provider_sfbulk.client.protocol.distrust import short_id


def job_ids(name: str, value: Any) -> list[str]:
    """Check a list of ids, and give each once. Mapped tasks give a list of each task's, a template gives a text."""
    if isinstance(value, str):
        value = _listed(name, value)
    if not isinstance(value, Sequence):
        raise SourceError(f"{name} must be a list of job ids, not {shown(value)}")
    ids: list[str] = []
    for each in value:
        ids.extend(each if isinstance(each, (list, tuple)) else [each])
    return list({short_id(each): each for each in (job_id(name, each) for each in ids)}.values())


def _listed(name: str, text: str) -> list[str]:
    """Read the text that a template makes of a list: ids in brackets and quotes, or separated by commas."""
    if not text.strip() or text.strip() == "None":
        raise MissingSourceError(
            f"{name} is {'an empty string' if not text.strip() else 'the string None'}: its template found no job ids. "
            "Is the task that it names in that DAG, and has it run?"
        )
    return [each for each in re.split(r"[\s,\[\]()'\"]+", text) if each]


ARGUMENTS: Final = Arguments(
    checks={
        "job_id": optional(job_id),
        "job_ids": optional(job_ids),
        "job_type": one_of((JobType.INGEST, JobType.QUERY)),
        "api": one_of(APIS),
        "max_failed_records": allowance,
        "deferrable": flag,
        "poke_interval": seconds(),
        "timeout": optional(seconds()),
        "salesforce_conn_id": text,
        "api_version": optional(version),
    },
    clashes=(
        (
            lambda it: it.job_id is None and (it.job_ids is None or (it.job_ids == [] and it.is_parsed)),
            "give either job_id or job_ids, with one job at least",
        ),
        (
            lambda it: it.job_id is not None and it.job_ids is not None,
            "give either job_id or job_ids, not both",
        ),
    ),
)
