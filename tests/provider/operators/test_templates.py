"""Template fields as Airflow renders them in a running task: with the DAG's environment, also of mapped tasks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from airflow.sdk import DAG, ObjectStoragePath, task
from airflow.sdk.definitions.mappedoperator import MappedOperator

from airflow_provider_sfbulk import BulkIngestOperator, BulkJobSensor, BulkQueryOperator
from airflow_provider_sfbulk.arguments.hidden import HiddenValue
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.soql import bind

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
CONTEXT: dict[str, Any] = {
    "ds": "2026-01-31",
    "ts": "2026-01-31T12:00:00+00:00",
    "logical_date": MOMENT,
    "digits": "750000000000001",
    "quoted": '"Quoted Co"',
    "rows": [{"Name": "Hush-Hush-Ltd"}],
    "json": '[{"Name": "Hush-Hush-Ltd"}]',
    "ids": ["a", "b"],
    "count": 42,
    "nothing": None,
}

NATIVE = pytest.mark.parametrize("native", [False, True])


def rendered(operator: Any, dag: DAG) -> Any:
    """Render as the task runner does: by the DAG's environment, not by the operator's."""
    operator.render_template_fields({**CONTEXT}, dag.get_template_env())
    return operator


def query(native: bool, **given: Any) -> Any:
    with DAG("d", schedule=None, render_template_as_native_obj=native) as dag:
        operator = BulkQueryOperator(**{"task_id": "read", "soql": "SELECT Id FROM Account", **given})
    return rendered(operator, dag)


def ingest(native: bool, **given: Any) -> Any:
    with DAG("d", schedule=None, render_template_as_native_obj=native) as dag:
        operator = BulkIngestOperator(**{"task_id": "load", "sobject": "Account", "operation": "insert", **given})
    return rendered(operator, dag)


@NATIVE
@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ("None", "'None'"),
        ("42", "'42'"),
        ('"Quoted Co"', "'\"Quoted Co\"'"),
        ("2026-01-31", "'2026-01-31'"),
        ("['a']", r"'[\'a\']'"),
        ("line\r\n", r"'line\r\n'"),
        ("report.soql", "'report.soql'"),
        ("{{ quoted }}", "'\"Quoted Co\"'"),
        ("{{ digits }}", "'750000000000001'"),
        ("{{ ds }}", "'2026-01-31'"),
        ("x{{ count }}", "'x42'"),
        ("{{ count }}", "42"),
        ("{{ nothing }}", "null"),
        ("{{ ids }}", "('a', 'b')"),
        ("{{ logical_date }}", "2026-01-31T12:00:00.000Z"),
        ("{{ logical_date.date() }}", "2026-01-31"),
        ("{{ ds | to_date }}", "2026-01-31"),
        ("{{ ts | to_datetime }}", "2026-01-31T12:00:00.000Z"),
        (["{{ ds }}", "None"], "('2026-01-31', 'None')"),
        (42, "42"),
        (None, "null"),
        (date(2026, 1, 31), "2026-01-31"),
    ],
)
def test_a_bound_value_keeps_its_type(native: bool, given: Any, bound: str) -> None:
    operator = query(native, soql="SELECT Id FROM Account WHERE Name = :value", soql_params={"value": given})
    assert bind(operator.soql, operator.soql_params.records) == f"SELECT Id FROM Account WHERE Name = {bound}"


@NATIVE
def test_the_filters_are_there_in_a_real_task(native: bool) -> None:
    operator = query(
        native, soql="SELECT Id FROM A WHERE N = {{ quoted | soql_literal }} AND D > {{ ds | to_date | soql_literal }}"
    )
    assert operator.soql == "SELECT Id FROM A WHERE N = '\"Quoted Co\"' AND D > 2026-01-31"


@NATIVE
def test_a_filter_of_the_dag_wins_and_its_macros_are_there(native: bool) -> None:
    with DAG(
        "d",
        schedule=None,
        render_template_as_native_obj=native,
        user_defined_filters={"soql_literal": lambda _: "mine"},
        user_defined_macros={"own": "Lead"},
    ) as dag:
        operator = BulkQueryOperator(task_id="read", soql="SELECT Id FROM {{ own }} WHERE N = {{ ds | soql_literal }}")
    assert rendered(operator, dag).soql == "SELECT Id FROM Lead WHERE N = mine"


@NATIVE
@pytest.mark.parametrize("lax", [jinja2.Undefined, jinja2.DebugUndefined, jinja2.StrictUndefined])
def test_a_name_that_nobody_defined_is_an_error(native: bool, lax: Any) -> None:
    with DAG("d", schedule=None, render_template_as_native_obj=native, template_undefined=lax) as dag:
        made: list[Any] = [
            BulkQueryOperator(task_id="a", soql="SELECT Id FROM {{ objct }}"),
            BulkQueryOperator(task_id="b", soql="SELECT Id FROM A WHERE N = :n", soql_params={"n": "{{ objct }}"}),
            BulkQueryOperator(task_id="c", soql="SELECT Id FROM A", output_path=Path("/o/{{ objct }}")),
            BulkIngestOperator(task_id="e", sobject="Account", operation="insert", source="/in/{{ objct }}.csv"),
            BulkIngestOperator(task_id="f", sobject="Account", operation="insert", source="{{ objct }}"),
            BulkJobSensor(task_id="g", job_ids="{{ objct }}"),
        ]
    for operator in made:
        with pytest.raises(jinja2.UndefinedError, match="objct"):
            rendered(operator, dag)


@NATIVE
def test_texts_stay_texts(native: bool) -> None:
    operator = query(native, soql=None, job_id="{{ digits }}", salesforce_conn_id="{{ digits }}")
    assert (operator.job_id, operator.salesforce_conn_id) == ("750000000000001", "750000000000001")
    operator = query(native, output_path="{{ ds }}")
    assert operator.output_path == "2026-01-31"
    operator = ingest(native, source="/a", sobject="{{ 'Account' }}", results_path=Path("/r/{{ ds }}"))
    assert (operator.sobject, operator.results_path) == ("Account", Path("/r/2026-01-31"))
    operator = ingest(native, source=ObjectStoragePath("s3://bucket/{{ ds }}.csv"))
    assert operator.source == ObjectStoragePath("s3://bucket/2026-01-31.csv")
    operator = ingest(native, source=["/in/{{ ds }}.csv", Path("/in/{{ count }}.csv")])
    assert operator.source == ["/in/2026-01-31.csv", Path("/in/42.csv")]


def test_a_template_gives_a_list_of_fields_where_the_dag_renders_natively() -> None:
    given = {"soql": None, "sobject": "Account", "fields": "{{ ['Id', 'Name'] }}", "exclude": "{{ ['Fax'] }}"}
    operator = query(True, **given)
    assert (operator.fields, operator.exclude) == (["Id", "Name"], ["Fax"])
    for name in ("fields", "exclude"):
        for template, message in (
            (given[name], f"{name} is the text of a list.*render_template_as_native_obj=True"),
            ("{{ none }}", f"{name} is the string None"),
        ):
            operator = query(False, **{"soql": None, "sobject": "Account", name: template})
            with pytest.raises(SourceError, match=message):
                operator.arguments.apply(operator, rendered=True)


@NATIVE
def test_a_path_without_a_template_is_not_touched(native: bool) -> None:
    for path in ("None", "20260131", "'a'", "[0-9].csv", "/in/a.sql"):
        with DAG("d", schedule=None, render_template_as_native_obj=native) as dag:
            operator = BulkJobSensor(task_id="x", job_id="750000000000001AAA", salesforce_conn_id=path)
        assert rendered(operator, dag).salesforce_conn_id == path
    assert ingest(native, source="20260131").source == "20260131"


@NATIVE
def test_a_callable_is_not_called_by_airflow(native: bool) -> None:
    def rows() -> Any:
        raise AssertionError("called while templates are rendered")

    assert ingest(native, source=rows).source is rows


@NATIVE
@pytest.mark.parametrize(
    "template",
    [
        "{{ rows }}",
        "{{ json }}",
        "{{ rows | tojson }}",
        "{{ ids }}",
        "Name\n{{ rows[0].Name }}",
        "{{ rows[0] | tojson }}",
    ],
)
def test_records_that_became_a_text_are_never_shown(native: bool, template: str) -> None:
    operator = ingest(native, source=template)
    if isinstance(operator.source, (HiddenValue, list)):  # native rendering has made a list of it
        assert native
        assert "Hush" not in repr(operator.source)
        return
    with pytest.raises(SourceError, match=r"not a path|one dict") as caught:
        operator.execute({})
    told = str(caught.value)
    assert "Hush" not in told
    if "one dict" not in told:
        assert "output" in told
        assert "render_template_as_native_obj" in told


@NATIVE
def test_a_template_of_nothing_says_so(native: bool) -> None:
    operator = ingest(native, source="{{ nothing }}")
    with pytest.raises(SourceError, match=r"source is (None|the string None).*returned nothing"):
        operator.execute({})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ingest, "source"),
        (ingest, "results_path"),
        (ingest, "external_id_field"),
        (query, "output_path"),
        (query, "soql_params"),
    ],
)
def test_an_argument_whose_task_returned_nothing_is_not_as_if_it_was_not_given(make: Any, name: str) -> None:
    with DAG("d", schedule=None) as dag:

        @task
        def nothing() -> None: ...

        given = {"source": "/a.csv"} if make is ingest and name != "source" else {}
        more = {"operation": "upsert"} if name == "external_id_field" else {}
        kind: Any = BulkIngestOperator if make is ingest else BulkQueryOperator
        usual = {"sobject": "Account", "operation": "insert"} if make is ingest else {"soql": "SELECT Id FROM A"}
        operator = kind(task_id="t", **{**usual, **given, **more, name: nothing()})
    ti = SimpleNamespace(xcom_pull=lambda **_: None, task=operator, map_index=-1)
    operator.render_template_fields({**CONTEXT, "ti": ti}, dag.get_template_env())
    with pytest.raises(SourceError, match=f"{name} is None: the task that it comes from returned nothing"):
        operator.execute({})


def test_rows_are_taken_with_native_rendering() -> None:
    assert ingest(True, source="{{ rows }}").source.records == CONTEXT["rows"]


@NATIVE
def test_a_mapped_task_is_rendered_alike(native: bool) -> None:
    with DAG("d", schedule=None, render_template_as_native_obj=native) as dag:
        mapped = BulkQueryOperator.partial(
            task_id="read", soql="SELECT Id FROM A WHERE N = :n AND D = {{ 1 | soql_literal }}"
        )
        task = mapped.expand(soql_params=[{"n": "None"}, {"n": "{{ ds | to_date }}"}])
    assert isinstance(task, MappedOperator)
    for index, expected in enumerate(("'None'", "2026-01-31")):
        unmapped = task.unmap({"soql_params": [{"n": "None"}, {"n": "{{ ds | to_date }}"}][index]})
        unmapped._do_render_template_fields(unmapped, task.template_fields, CONTEXT, dag.get_template_env(), set())
        bound = bind(unmapped.soql, unmapped.soql_params.records)  # type: ignore[attr-defined]
        assert bound == f"SELECT Id FROM A WHERE N = {expected} AND D = 1"


def test_what_came_from_another_task_is_no_template() -> None:
    value = {"n": "{{ ds }}"}
    with DAG("d", schedule=None) as dag:
        operator = BulkQueryOperator(task_id="read", soql="SELECT Id FROM A WHERE N = :n", soql_params=value)
    operator._do_render_template_fields(
        operator,
        operator.template_fields,
        CONTEXT,
        dag.get_template_env(),
        {id(value)},  # type: ignore[arg-type]
    )
    assert operator.soql_params.records == value


def test_a_soql_file_is_found_beside_the_dag(tmp_path: Path) -> None:
    (tmp_path / "accounts.soql").write_text("SELECT Id FROM {% include 'object.txt' %} WHERE D = {{ ds | to_date }}")
    (tmp_path / "object.txt").write_text("Account")
    with DAG("d", schedule=None, template_searchpath=[str(tmp_path)], render_template_as_native_obj=True) as dag:
        operator = BulkQueryOperator(task_id="read", soql="accounts.soql")
    assert rendered(operator, dag).soql == "SELECT Id FROM Account WHERE D = 2026-01-31"


def test_values_are_neither_shown_nor_stored() -> None:
    operator = query(True, soql="SELECT Id FROM A WHERE N = :n", soql_params={"n": "{{ rows[0].Name }}"})
    assert operator.soql_params.records == {"n": "Hush-Hush-Ltd"}
    assert "Hush" not in str(operator.soql_params)


@pytest.mark.parametrize(
    ("text", "told"), [("{{ ts | to_date }}", "to_datetime"), ("{{ ds | to_datetime }}", "offset")]
)
def test_what_is_no_date_is_refused(text: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        query(False, soql="SELECT Id FROM A WHERE D = :d", soql_params={"d": text})
