"""Values in different spellings are the same value, different values are not, whatever else is in the batch."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.load.normal_forms import normal_form
from tests.client.load.match_witness import KINDS, echo, meaning, spellings
from tests.client.results.out_witness import texts


def forms(kind: str | None, values: list[str]) -> list[str]:
    return normal_form(pa.array(values, pa.string()), kind).to_pylist()


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        ("double", ["1", "1.0", "1E0", "+1", "001.", " 1 ", "10e-1", ".1E+1", "1." + "0" * 40]),
        ("double", ["0", "-0", "0.0", "0E99", ".0", "0" * 30]),
        ("currency", ["912260031", "9.12260031E8", "912260031.00"]),
        ("double", ["123456789012345678", "123456789012345678.0", "1.23456789012345678E17"]),
        ("percent", ["0.000000000000000000001", "1e-21"]),
        ("int", ["-7", "-7.0"]),
        ("long", ["1" + "0" * 30, "1E30"]),
        ("boolean", ["true", "TRUE", "True", "1"]),
        ("boolean", ["false", "FALSE", "0"]),
        ("date", ["1990-06-07", "1990-06-07Z", "1990-06-07T00:00:00.000Z"]),
        (
            "datetime",
            [
                "2026-03-04T05:06:07.000Z",
                "2026-03-04T05:06:07Z",
                "2026-03-04T05:06:07",
                "2026-03-04 05:06:07Z",
                "2026-03-04T07:06:07.0000009+02:00",
                "2026-03-03T23:36:07-0530",
            ],
        ),
        ("time", ["05:06:07.000Z", "05:06:07Z", "05:06:07.0"]),
        ("id", ["001D000000IRFma", "001D000000IRFmaIAH"]),
        ("reference", ["aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaAAA"]),
        ("id", ["AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA555"]),
        ("string", ["", "#N/A", " ", "\r\n", "\x00", "\u2003#N/A\x1f"]),
        ("textarea", ["a\nb", "a\r\nb", "a\rb", " a\nb\r\n"]),
        (None, ["a", "a "]),
    ],
)
def test_these_are_the_same(kind: str | None, same: list[str]) -> None:
    assert len(set(forms(kind, same))) == 1
    assert {each for value in same for each in forms(kind, [value])} == set(forms(kind, same))


@pytest.mark.parametrize(
    ("kind", "different"),
    [
        ("double", ["123456789012345678", "123456789012345679", "1.2345678901234568E17", "-123456789012345678"]),
        ("double", ["0.1", "0.1000000000000000055511151231257827", "0.10000000000000001"]),
        ("double", ["", "0", "nan", "inf", "1E400", "1E500", "0x10", "16", "1,6", "1e", "e1", ".", "-"]),
        ("double", ["=1234567890123456E0", "1234567890123456"]),
        ("double", ["0." + "0" * 400 + "1", "0." + "0" * 401 + "1", "0"]),
        ("boolean", ["true", "false", "", "yes", "2"]),
        ("date", ["1990-06-07", "1990-06-08", "1990-06-07T01:00:00Z", "07.06.1990", ""]),
        ("datetime", ["2026-03-04T05:06:07.001Z", "2026-03-04T05:06:07Z", "2026-03-04", "2026-02-30T00:00:00Z", ""]),
        ("datetime", ["2026-02-30T00:00:00Z", "2026-02-30T00:00:00.000Z", "2026-03-02T00:00:00Z"]),
        ("time", ["05:06:07Z", "05:06:08Z", "1970-01-01T05:06:07Z", "25:00:00Z"]),
        ("id", ["001D000000IRFma", "001D000000IRFmA", "001D000000IRFm"]),
        ("string", ["1", "1.0", "01", "true", "TRUE", "#n/a", "a b", "a  b", "a\nb"]),
        (None, ["912260031", "9.12260031E8"]),
    ],
)
def test_these_differ(kind: str | None, different: list[str]) -> None:
    assert len(set(forms(kind, different))) == len(different)


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(spellings(kind), max_size=6))))
def test_values_have_one_form_when_they_have_one_meaning(drawn: tuple[str, list[str]]) -> None:
    kind, values = drawn
    found = forms(kind, values)
    for value, form in zip(values, found, strict=True):
        assert [same == form for same in found] == [meaning(kind, each) == meaning(kind, value) for each in values]
    assert forms(kind, [echo(kind, value) for value in values]) == found


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=12),
    st.decimals(allow_nan=False, allow_infinity=False, places=0),
)
def test_numbers_of_any_length_are_compared_exactly(one: Decimal, other: Decimal) -> None:
    nearby = one.next_plus()
    found = forms("double", [f"{one:f}", f"{one + 0:f}", f"{other:f}", f"{nearby:f}", f"{other}.0"])
    meant = [Decimal(text) for text in (f"{one:f}", f"{one + 0:f}", f"{other:f}", f"{nearby:f}", f"{other}.0")]
    for i, a in enumerate(meant):
        for j, b in enumerate(meant):
            assert (found[i] == found[j]) == (a == b)


@given(st.sampled_from([*KINDS, "id", None]), st.lists(texts | st.sampled_from(KINDS).flatmap(spellings), max_size=8))
def test_a_form_is_the_values_alone(kind: str | None, values: list[str]) -> None:
    assert forms(kind, values) == [form for value in values for form in forms(kind, [value])]
