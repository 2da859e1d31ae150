"""Ids of 15 and 18 characters."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.local_org.soql.ids import to_18


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("a0D30000001n7Pi", "a0D30000001n7PiEAI"),  # the fact sheet's check
        ("001000000000000", "001000000000000AAA"),
        ("ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO555"),
    ],
)
def test_the_suffix_tells_the_capitals(short: str, long: str) -> None:
    assert to_18(short) == long
    assert to_18(long) == long


@given(st.text(string.ascii_letters + string.digits, min_size=15, max_size=15))
def test_a_long_id_finds_its_case_again(short: str) -> None:
    long = to_18(short)
    assert long is not None
    assert long[:15] == short
    assert to_18(long.lower()) == to_18(long.upper()) == to_18(long.swapcase()) == long


@pytest.mark.parametrize(
    "text",
    [
        "",
        "001",
        "00100000000000",
        "0010000000000001",
        "00100000000000é",
        "001 00000000001",
        "001000000000001BAA",
        "x" * 19,
    ],
)
def test_what_is_no_id_has_no_long_form(text: str) -> None:
    assert to_18(text) is None
