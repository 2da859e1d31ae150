"""Values bound into SOQL: nothing but the value arrives, whatever it holds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.soql import Identifier, bind, soql_literal

UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def read_text(literal: str) -> str:
    """Read a quoted text as Salesforce does."""
    assert re.fullmatch(r"'(?:[^'\\]|\\.)*'", literal, re.DOTALL)
    return re.sub(r"\\(.)", lambda match: UNESCAPED.get(match[1], match[1]), literal[1:-1], flags=re.DOTALL)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert read_text(bind(":v", {"v": text})) == text


@given(st.text(st.sampled_from("':\\ab \n")), st.text(st.sampled_from("':\\ab \n")))
def test_no_value_reaches_into_another(first: str, second: str) -> None:
    bound = bind("WHERE A = :a AND B = :b", {"a": first, "b": second})
    assert bound == f"WHERE A = {soql_literal(first)} AND B = {soql_literal(second)}"


@given(st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False, places=6)))
def test_numbers_are_written_out(number: int | Decimal) -> None:
    literal = soql_literal(number)
    assert re.fullmatch(r"-?\d+(\.\d+)?", literal)
    assert Decimal(literal) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_exactly(number: float) -> None:
    assert "e" not in soql_literal(number).lower()
    assert float(soql_literal(number)) == number


@given(
    st.datetimes(
        min_value=datetime(1700, 1, 2),  # noqa: DTZ001 - the strategy wants it bare
        max_value=datetime(4000, 12, 30),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-8))]),
    )
)
def test_a_datetime_is_the_same_moment(moment: datetime) -> None:
    read = datetime.strptime(soql_literal(moment), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert timedelta(0) <= moment - read < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "null"),
        (True, "TRUE"),
        (False, "FALSE"),
        (1e21, "1" + "0" * 21),
        (Decimal("1E+3"), "1000"),
        (date(2026, 3, 1), "2026-03-01"),
        (time(4, 5, 6, tzinfo=UTC), "04:05:06.000Z"),
        (["a", "b'", None], r"('a', 'b\'', null)"),
        ((1, 2), "(1, 2)"),
        ({"b", "a"}, "('a', 'b')"),
        (Identifier("Id", "Owner.Name"), "Id, Owner.Name"),
    ],
)
def test_literals(value: Any, literal: str) -> None:
    assert soql_literal(value) == literal


@pytest.mark.parametrize(
    "value",
    [
        [],
        [["s3cr3t"]],
        {"s3cr3t": 1},
        b"s3cr3t",
        "s3cr3t\0",
        float("nan"),
        Decimal("Infinity"),
        Decimal("1E+999999999"),
        datetime(2026, 1, 1),  # noqa: DTZ001 - without a timezone, to be refused
        time(1, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_what_is_no_value_is_refused_by_its_name_alone(value: Any) -> None:
    with pytest.raises(SourceError, match="v is ") as refused:
        bind("WHERE A = :v", {"v": value})
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "Id FROM User--", "a'b", "1st", "A..B", "Id\n", "Naïve"])
def test_an_identifier_is_an_api_name(name: str) -> None:
    with pytest.raises(SourceError, match="API names"):
        Identifier(name)


def test_only_names_outside_of_texts_are_bound() -> None:
    soql = r"SELECT Id FROM A WHERE N = ':v it\':s' AND T > 2026-01-01T00:00:00Z AND D = LAST_N_DAYS:3 AND X IN:v"
    assert bind(soql, {"v": ["q"]}) == soql.removesuffix(":v") + "('q')"


def test_a_count_of_days_is_bound() -> None:
    assert bind("WHERE D = LAST_N_DAYS:n", {"n": 30}) == "WHERE D = LAST_N_DAYS:30"
    with pytest.raises(SourceError, match="whole number"):
        bind("WHERE D = LAST_N_DAYS:n", {"n": "30 OR Id != null"})


@pytest.mark.parametrize("colon", [":", " :", ": ", " : "])
def test_a_count_of_days_may_have_blanks_around_its_colon(colon: str) -> None:
    assert bind(f"CreatedDate = LAST_N_DAYS{colon}days", {"days": 30}) == "CreatedDate = LAST_N_DAYS:30"


@pytest.mark.parametrize("value", [10**5000, -(10**400), Decimal("sNaN")], ids=["huge", "low", "signal"])
def test_a_number_that_is_none_is_told_by_its_name(value: Any) -> None:
    with pytest.raises(SourceError, match="x is"):
        bind("A = :x", {"x": value})


def test_names_and_values_belong_together() -> None:
    with pytest.raises(SourceError, match=":b,"):
        bind("WHERE A = :a AND B = :b", {"a": 1})
    with pytest.raises(SourceError, match="has no :c"):
        bind("WHERE A = :a", {"a": 1, "c": "s3cr3t"})
