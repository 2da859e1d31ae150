"""A real Airflow with all its components, once for all tests of this folder, against a local org in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_sfbulk.demo.airports import SCHEMA
from airflow_provider_sfbulk.demo.samples import write_samples
from airflow_provider_sfbulk.demo.stack import AirflowStack
from airflow_provider_sfbulk.local_org import LocalOrg

EXAMPLES = Path(__file__).parents[2] / "example_dags"

JOB_SECONDS = 12.0
"""Longer than the task looks for itself: the job is waited for in the triggerer."""


@dataclass(frozen=True)
class World:
    """Airflow and Salesforce."""

    stack: AirflowStack
    org: LocalOrg


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start everything; some 20 to 40 s."""
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    for source in (EXAMPLES, Path(__file__).parent / "dags"):
        shutil.copytree(source, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with LocalOrg(schema=SCHEMA, job_seconds=JOB_SECONDS) as org:
        lake = folder / "lake"
        write_samples(lake)
        environment = {"AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection, "AIRFLOW_VAR_LAKE": str(lake)}
        with AirflowStack(folder / "home", dags, environment) as stack:
            yield World(stack, org)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of this folder in one worker: Airflow is started once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("airflow"))
