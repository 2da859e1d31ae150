"""Ids as Salesforce forms them."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.local_org.data import ids


def test_the_suffix_is_that_of_the_published_example() -> None:
    assert ids.lengthen("a0D30000001n7Pi") == "a0D30000001n7PiEAI"


def test_ids_are_valid_ascending_and_never_twice() -> None:
    made = list(ids.make("001", 3_800, 8_000))
    assert made == sorted(set(made))
    assert all(ids.normalize(made_id[:15]) == made_id for made_id in made)
    assert made[100:200] == list(ids.make("001", 3_900, 100))


@pytest.mark.parametrize("text", ["", "001", "a0D30000001n7PiEAJ", "a0d30000001n7piEAI", "a0D30000001n7P!", "é" * 15])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ids.MalformedIdError):
        ids.normalize(text)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("a0D30000001n7Pi", "a0D30000001n7PiEAI"),  # the fact sheet's check
        ("001000000000000", "001000000000000AAA"),
        ("ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO555"),
    ],
)
def test_the_suffix_tells_the_capitals(short: str, long: str) -> None:
    assert ids.recase(short) == long
    assert ids.recase(long) == long


@given(st.text(string.ascii_letters + string.digits, min_size=15, max_size=15))
def test_a_long_id_finds_its_case_again(short: str) -> None:
    long = ids.recase(short)
    assert long[:15] == short
    assert ids.recase(long.lower()) == ids.recase(long.upper()) == ids.recase(long.swapcase()) == long


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
    with pytest.raises(ids.MalformedIdError):
        ids.recase(text)
