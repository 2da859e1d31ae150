"""Sets of places beside what a loop over the bytes finds."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv import bits

DATA = st.binary(max_size=300) | st.text('",\n', max_size=300).map(str.encode)


def at(data: bytes, byte: int) -> list[int]:
    return [place for place, each in enumerate(data) if each == byte]


@given(DATA)
def test_a_byte_is_found_where_it_is(data: bytes) -> None:
    found = bits.where(np.frombuffer(data, np.uint8), ord(","))
    assert bits.places(found).tolist() == at(data, ord(","))


@given(DATA, st.integers(0, 300))
def test_sets_are_moved_and_cut(data: bytes, stop: int) -> None:
    found = bits.where(np.frombuffer(data, np.uint8), ord(","))
    commas = at(data, ord(","))
    size = 64 * found.size
    assert bits.places(bits.after(found)).tolist() == [each + 1 for each in commas if each + 1 < size]
    assert bits.places(bits.before(found)).tolist() == [each - 1 for each in commas if each]
    stop = min(stop, len(data))
    assert bits.places(bits.upto(found, stop)).tolist() == [each for each in commas if each < stop]


@given(DATA)
def test_what_is_between_quotes_begins_with_the_one_that_opens(data: bytes) -> None:
    found = bits.between(bits.where(np.frombuffer(data, np.uint8), ord('"')))
    inside = [bool(count % 2) for count in accumulate(each == ord('"') for each in data)]
    inside += [inside[-1] if inside else False] * (64 * found.size - len(data))
    assert bits.places(found).tolist() == [place for place, each in enumerate(inside) if each]


@given(DATA)
def test_the_first_place_of_each_word_is_found_and_left_out(data: bytes) -> None:
    found = bits.where(np.frombuffer(data, np.uint8), ord(","))
    words = [[each for each in at(data, ord(",")) if each // 64 == word] for word in range(found.size)]
    upto = [64 * n + bit for n, each in enumerate(words) for bit in range(each[0] % 64 + 1 if each else 64)]
    assert bits.places(bits.to_first(found)).tolist() == upto
    assert bits.places(bits.without_first(found)).tolist() == [place for each in words for place in each[1:]]
    assert bits.count(found) == len(at(data, ord(",")))
    assert bits.last(found) == max(at(data, ord(",")), default=None)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=20), st.integers(128, 600))
def test_neighbours_that_are_surely_within_a_limit_are(gaps: list[int], limit: int) -> None:
    data = b"".join(b"a" * (gap - 1) + b"," for gap in gaps)
    found = bits.surely_within(bits.where(np.frombuffer(data, np.uint8), ord(",")), limit)
    assert found in ({True} if max(gaps) <= limit // 128 * 64 else {True, False} if max(gaps) <= limit else {False})


def test_memory_is_not_that_of_a_longer_piece_before() -> None:
    bits.where(np.frombuffer(b"," * 1000, np.uint8), ord(","))
    assert bits.places(bits.where(np.frombuffer(b"a" * 70, np.uint8), ord(","))).tolist() == []
