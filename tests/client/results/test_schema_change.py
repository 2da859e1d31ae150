"""What a change of columns is, and which type holds the values of two."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.results.schema import ColumnKind, ColumnType
from airflow_provider_sfbulk.client.results.schema_change import (
    NAMED,
    OnSchemaChange,
    SchemaChange,
    SchemaGuard,
    read_type,
    type_name,
    wider,
)


def decimal(precision: int, scale: int) -> ColumnType:
    return ColumnType("N", ColumnKind.DECIMAL, precision, scale)


def of(kind: str) -> ColumnType:
    return ColumnType("N", ColumnKind(kind))


decimals = st.integers(1, 38).flatmap(lambda digits: st.builds(decimal, st.just(digits), st.integers(0, digits)))
types = decimals | st.sampled_from([of(kind) for kind in ColumnKind if kind is not ColumnKind.DECIMAL])


@given(types)
def test_a_type_that_is_written_is_read_as_it_was(column: ColumnType) -> None:
    assert read_type("N", type_name(column)) == column


@pytest.mark.parametrize("text", ["decimal", "decimal(2,3)", "decimal(39,1)", "uint8", "", None, 5])
def test_what_is_no_type_is_read_as_none(text: Any) -> None:
    assert read_type("N", text) is None


@given(types, types)
def test_the_wider_type_is_one_whichever_comes_first_and_widening_ends(one: ColumnType, other: ColumnType) -> None:
    both = wider(one, other)
    assert both == wider(other, one)
    assert wider(both, one) == wider(both, other) == both


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (decimal(18, 2), decimal(16, 4), decimal(20, 4)),
        (decimal(38, 0), decimal(38, 10), of("double")),
        (of("integer"), decimal(5, 3), decimal(22, 3)),
        (of("integer"), of("double"), of("double")),
        (of("date"), of("datetime"), of("string")),
        (of("boolean"), of("integer"), of("string")),
    ],
)
def test_the_wider_type_holds_the_values_of_both(one: ColumnType, other: ColumnType, both: ColumnType) -> None:
    assert wider(one, other) == both


def manifest(**more: Any) -> dict[str, Any]:
    columns = {"Id": "string", "N": "integer", "Gone": "date"}
    return {"job_id": "750A", "columns": list(columns), "column_types": columns, **more}


NOW = (ColumnType("Id"), decimal(18, 2), ColumnType("New", ColumnKind.BOOLEAN))


def guard(policy: str, before: dict[str, Any] | None, job_id: str = "750B") -> SchemaGuard:
    return SchemaGuard(before, OnSchemaChange(policy), job_id=job_id)


def test_columns_that_came_went_and_changed_are_named() -> None:
    one = guard("accept", manifest())
    assert one.retype(NOW) == NOW
    facts = one.facts(["Id", "N", "New"], NOW)
    assert facts == {
        "column_types": {"Id": "string", "N": "decimal(18,2)", "New": "boolean"},
        "schema_changes": {"added": ["New"], "removed": ["Gone"], "retyped": {"N": ["integer", "decimal(18,2)"]}},
    }
    assert str(SchemaChange.from_dict(facts["schema_changes"])) == (
        "added: New; removed: Gone; changed type: N (integer to decimal(18,2))"
    )


def test_a_column_that_went_stays_once_it_is_widened_and_is_told_once() -> None:
    first = guard("widen", manifest())
    held = first.retype(NOW)
    names = [each.name for each in held]
    facts = first.facts(names, held)
    assert facts["column_types"] == {"Id": "string", "N": "decimal(21,2)", "New": "boolean", "Gone": "date"}
    assert facts["null_columns"] == ["Gone"]
    second = guard("widen", {"job_id": "750B", "columns": names, **facts}, "750C")
    again = second.retype(NOW)
    assert (again, second.facts(names, again).get("schema_changes")) == (held, None)
    back = guard("widen", {"job_id": "750B", "columns": names, **facts}, "750D")
    returned = back.retype((*NOW, ColumnType("Gone", ColumnKind.DATE)))
    assert back.facts([*names], returned)["schema_changes"] == {"added": ["Gone"], "removed": [], "retyped": {}}
    assert back.null_columns == ()


def test_fail_fails_before_a_page_is_read() -> None:
    with pytest.raises(SourceError, match=r"is left unchanged \(added: New; removed: Gone; changed type: N"):
        guard("fail", manifest()).retype(NOW)


def test_a_float_that_may_be_one_again_is_judged_at_the_end() -> None:
    before = {"job_id": "750A", "columns": ["N"], "column_types": {"N": "double"}}
    one = guard("fail", before)
    one.retype([decimal(18, 2)])
    assert one.facts(["N"], [of("double")]) == {"column_types": {"N": "double"}}
    with pytest.raises(SourceError, match=r"N \(double to decimal\(18,2\)\)"):
        one.facts(["N"], [decimal(18, 2)])


def test_of_csv_files_the_columns_are_compared() -> None:
    one = guard("accept", {"job_id": "750A", "columns": ["Id", "Old"]})
    assert one.facts(["Id", "New"], ()) == {"schema_changes": {"added": ["New"], "removed": ["Old"], "retyped": {}}}


@pytest.mark.parametrize(
    "before", [None, {}, {"columns": "Id"}, {"columns": ["Id", "N", "New"], "column_types": {"N": 5}}]
)
def test_what_says_nothing_is_no_change(before: dict[str, Any] | None) -> None:
    for policy in OnSchemaChange:
        one = guard(policy, before)
        assert one.retype(NOW) == NOW
        assert "schema_changes" not in one.facts(["Id", "N", "New"], NOW)


def test_an_extract_that_is_published_again_tells_its_change_again() -> None:
    change = {"added": ["New"], "removed": [], "retyped": {"N": ["integer", "double"]}}
    own = {"job_id": "750B", "columns": ["Id"], "schema_changes": change}
    assert guard("fail", own).facts(["Id"], ())["schema_changes"] == change


def test_of_many_columns_a_summary_says_how_many() -> None:
    names = tuple(f"C{n}" for n in range(NAMED + 1))
    change = SchemaChange(added=names, removed=names[:-1])
    assert change.in_short() == {"added": NAMED + 1, "removed": list(names[:-1]), "retyped": {}}
    assert "and 1 more" in str(change)
