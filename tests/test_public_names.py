"""The names that users import, and what importing them costs."""

from __future__ import annotations

import json
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

MAKING: Final = """
from airflow_provider_sfbulk import BulkIngestOperator, BulkQueryOperator, BulkJobSensor
with DAG('d', schedule=None):
    load = BulkIngestOperator(task_id='a', sobject='Account', operation='insert', source='/x.csv',
        results_path='/r', timezone='Europe/Berlin', column_mapping={'a': 'Name'})
    BulkQueryOperator(task_id='b', soql='SELECT Id FROM Account', output_path='/o', output_format='parquet')
    BulkJobSensor(task_id='c', job_ids=load.output)
    BulkIngestOperator.partial(task_id='m', sobject='Account', operation='insert').expand(source=['/x.csv'])
"""

WRITING: Final = """
import datetime, decimal
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.sources.open import Rules, from_dicts
rows = [{'Key__c': str(n), 'Name': 'a "quoted" one,\\nof two lines', 'Revenue': decimal.Decimal(n), 'Rating': n / 3,
         'Size': n, 'Since': datetime.date(2026, 1, 1), 'Owner': {'Key__c': 'x'},
         'Seen': datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), **({'Active': True} if n % 2 else {})}
        for n in range(1000)]
rules = Rules(operation=Operation.UPSERT, external_id_field='Key__c', nulls='clear')
types = [None, 'string', 'currency', 'double', 'int', 'date', None, 'datetime', 'boolean']
stream = from_dicts(rows, rules, name='rows')
assert sum(block.records for block in stream.with_columns(stream.columns, types).blocks()) == 1000
"""

TRIGGERER: Final = "import airflow_provider_sfbulk.triggers.job, airflow_provider_sfbulk.triggers.reserve"

APART: Final = f"""
import json, os, sys
{AIRFLOW}
for before, code in json.loads(sys.argv[1]):
    if os.fork() == 0:
        break
    assert os.wait()[1] == 0
else:
    sys.exit()
exec(before)
old = set(sys.modules)
exec(code)
print(json.dumps([code, sorted({{name.partition('.')[0] for name in set(sys.modules) - old}})]))
"""
"""Runs each piece of code in a process of its own that has what Airflow imports, which takes seconds, from its parent."""


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The top-level packages that each piece of code imports beyond those of Airflow."""
    pieces = [*(("", code) for code in (*OURS.values(), MAKING, WRITING)), ("import airflow.triggers.base", TRIGGERER)]
    printed = python(APART, json.dumps(pieces)).splitlines()
    assert len(printed) == len(pieces)
    return {code: set(packages) for code, packages in map(json.loads, printed)}


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
def test_parsing_loads_nothing_heavy(what: str, loaded: dict[str, set[str]]) -> None:
    assert loaded[OURS[what]] & set(NOT_AT_PARSE) == set()


def test_making_operators_loads_nothing_columnar(loaded: dict[str, set[str]]) -> None:
    assert loaded[MAKING] & set(COLUMNAR) == set()


def test_the_triggerer_loads_nothing_columnar(loaded: dict[str, set[str]]) -> None:
    assert loaded[TRIGGERER] & set(NOT_AT_PARSE) == set()


def test_writing_a_few_rows_loads_no_pandas(loaded: dict[str, set[str]]) -> None:
    assert loaded[WRITING] & {"numpy", "pyarrow", "pandas"} == {"numpy", "pyarrow"}
