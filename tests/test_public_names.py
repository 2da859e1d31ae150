"""The names that users import, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

import airflow_provider_sfbulk

PUBLIC: Final = {
    "AsyncBulkClient": "airflow_provider_sfbulk.client",
    "BulkClient": "airflow_provider_sfbulk.client",
    "BulkIngestOperator": "airflow_provider_sfbulk.operators.ingest",
    "BulkJobSensor": "airflow_provider_sfbulk.sensors.job",
    "BulkQueryOperator": "airflow_provider_sfbulk.operators.query",
    "Incremental": "airflow_provider_sfbulk.operators.query",
    "SalesforceBulkHook": "airflow_provider_sfbulk.hooks.salesforce_bulk",
    "SalesforceChangeTrigger": "airflow_provider_sfbulk.triggers.change",
}

COLUMNAR: Final = ("numpy", "pyarrow", "pandas", "polars")

NOT_AT_PARSE: Final = (*COLUMNAR, "requests", "urllib3", "sqlalchemy", "jwt", "openlineage")
"""What a DAG file does not pay for, as long as Airflow itself has not imported it."""

AIRFLOW: Final = "from airflow.sdk import DAG, Asset, BaseHook, BaseOperator, BaseSensorOperator, ObjectStoragePath"

OURS: Final = {
    "a DAG file": (
        "from airflow_provider_sfbulk import BulkIngestOperator, BulkQueryOperator, BulkJobSensor, Incremental\n"
        "from airflow_provider_sfbulk import SalesforceChangeTrigger"
    ),
    "a DAG file by full paths": (
        "import airflow_provider_sfbulk.operators.ingest, airflow_provider_sfbulk.operators.query, "
        "airflow_provider_sfbulk.sensors.job, airflow_provider_sfbulk.hooks.salesforce_bulk"
    ),
    "the plugin": "import airflow_provider_sfbulk.plugin, airflow_provider_sfbulk.get_provider_info",
}

TRIGGERER: Final = "import airflow_provider_sfbulk.triggers.job, airflow_provider_sfbulk.triggers.reserve"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout


def loaded(before: str, code: str) -> set[str]:
    """Give the top-level packages that ``code`` imports beyond what ``before`` does."""
    printed = python(
        f"import sys\n{before}\nold = set(sys.modules)\n{code}\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - old}))"
    )
    return set(printed.split())


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(airflow_provider_sfbulk.__all__) == set(PUBLIC)
    assert set(airflow_provider_sfbulk.__all__) <= set(dir(airflow_provider_sfbulk))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_what_its_module_has(name: str) -> None:
    module = __import__(PUBLIC[name], fromlist=[name])
    assert getattr(airflow_provider_sfbulk, name) is getattr(module, name)


def test_what_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="BulkUpsertOperator"):
        _ = airflow_provider_sfbulk.BulkUpsertOperator


def test_the_package_by_itself_imports_none_of_its_parts() -> None:
    printed = python(
        "import airflow_provider_sfbulk, sys; "
        "print([m for m in sys.modules if m.startswith('airflow_provider_sfbulk.') or m.partition('.')[0] == 'airflow'])"
    )
    assert printed.strip() == "[]"


def test_the_client_comes_without_airflow() -> None:
    python("from airflow_provider_sfbulk import BulkClient; import sys; assert 'airflow' not in sys.modules")


@pytest.mark.parametrize("what", OURS)
def test_parsing_loads_nothing_heavy(what: str) -> None:
    assert loaded(AIRFLOW, OURS[what]) & set(NOT_AT_PARSE) == set()


def test_making_operators_loads_nothing_columnar() -> None:
    code = (
        "from airflow_provider_sfbulk import BulkIngestOperator, BulkQueryOperator, BulkJobSensor\n"
        "with DAG('d', schedule=None):\n"
        "    load = BulkIngestOperator(task_id='a', sobject='Account', operation='insert', source='/x.csv',\n"
        "        results_path='/r', timezone='Europe/Berlin', column_mapping={'a': 'Name'})\n"
        "    BulkQueryOperator(task_id='b', soql='SELECT Id FROM Account', output_path='/o', output_format='parquet')\n"
        "    BulkJobSensor(task_id='c', job_ids=load.output)\n"
        "    BulkIngestOperator.partial(task_id='m', sobject='Account', operation='insert').expand(source=['/x.csv'])\n"
    )
    assert loaded(AIRFLOW, code) & set(COLUMNAR) == set()


def test_the_triggerer_loads_nothing_columnar() -> None:
    assert loaded(f"{AIRFLOW}\nimport airflow.triggers.base", TRIGGERER) & set(NOT_AT_PARSE) == set()
