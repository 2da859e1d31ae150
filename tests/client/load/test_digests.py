"""Digests stand for texts: the same for equal ones wherever they are, others for others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.load.digests import SHARES, DigestFile, Digests, digests, pairs, runs, shares

LONG = 512
"""Bytes beyond which a text is digested in another way."""

texts = st.text(st.sampled_from("a\0\x01é"), max_size=20) | st.builds(
    lambda text, times: text * times, st.text(st.sampled_from("ab"), min_size=1, max_size=3), st.integers(160, 260)
)


def _digested(given_texts: list[str]) -> list[tuple[int, ...]]:
    found: Digests = digests(pa.array(given_texts, pa.string()))
    assert found.shape == (len(given_texts), 2)
    return [tuple(each) for each in found.tolist()]


@given(st.lists(texts, max_size=12))
def test_two_texts_have_the_same_digest_exactly_when_they_are_equal(chosen: list[str]) -> None:
    found = _digested(chosen)
    assert [[one == other for other in found] for one in found] == [
        [one == other for other in chosen] for one in chosen
    ]


@given(st.lists(texts, max_size=12), st.integers(0, 12))
def test_the_digest_of_a_text_does_not_depend_on_its_neighbours(chosen: list[str], start: int) -> None:
    alone = [_digested([each])[0] for each in chosen]
    assert _digested(chosen) == alone
    piece = digests(pa.array(chosen, pa.string()).slice(start))
    assert [tuple(each) for each in piece.tolist()] == alone[start:]


def test_texts_that_differ_only_in_zeros_at_their_end_differ() -> None:
    chosen = ["a" * size + "\0" * zeros for size in (0, 1, 7, 8, LONG - 9, LONG) for zeros in range(10)]
    assert len(set(_digested(chosen))) == len(set(chosen))


def test_each_byte_counts() -> None:
    plain = "a" * (LONG + 1)
    for size in (LONG, LONG + 1):
        others = [plain[:place] + "b" + plain[place + 1 : size] for place in range(size)]
        assert len(set(_digested([plain[:size], *others]))) == size + 1


_few = st.lists(
    st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 2), (2**63, 1), (2**63 + 1, 1), (2**64 - 1, 2)]), max_size=20
)


@given(st.lists(_few, min_size=1, max_size=3), st.integers(0, 20))
def test_equal_digests_of_several_files_come_together_with_their_rows(
    files: list[list[tuple[int, int]]], cut: int
) -> None:
    written = []
    for digested in files:
        written.append(DigestFile())
        for piece in (digested[:cut], digested[cut:]):
            written[-1].add(np.array(piece, np.uint64).reshape(-1, 2))
    assert [(each.rows, each.blank) for each in written] == [(len(each), each.count((0, 0))) for each in files]
    found = [
        [(*digest, row) for digest, row in zip(part.digests.tolist(), part.rows.tolist(), strict=True)]
        for part in (each.read(0, SHARES) for each in written)
    ]
    for read, digested in zip(found, files, strict=True):
        assert sorted(read, key=lambda each: each[2]) == [
            (*each, row) for row, each in enumerate(digested) if any(each)
        ]
    homes = {}
    for number, share in enumerate(shares(written)):
        for part in share:
            assert all(homes.setdefault(tuple(each), number) == number for each in part.digests.tolist())


@given(_few, _few, st.lists(st.booleans(), min_size=2, max_size=2))
def test_what_is_kept_beside_a_digest_comes_back_once_it_is_kept(
    first: list[tuple[int, int]], second: list[tuple[int, int]], kept: list[bool]
) -> None:
    file = DigestFile(words=3)
    expected = []
    for digested, is_kept in zip((first, second), kept, strict=True):
        own = np.array(digested, np.uint64).reshape(-1, 2)
        beside = np.arange(3 * len(own), dtype=np.uint64).reshape(-1, 3) + own[:, :1]
        held = file.hold(own, beside=beside)
        if is_kept:
            file.keep([held])
            expected += [
                (*digest, *words) for digest, words in zip(digested, beside.tolist(), strict=True) if any(digest)
            ]
    entries = file.read(0, SHARES)
    assert sorted((*a, *b) for a, b in zip(entries.digests.tolist(), entries.beside.tolist(), strict=True)) == sorted(
        expected
    )


@given(_few, _few)
def test_pairs_are_the_digests_that_are_once_in_each(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    found = pairs(*(np.array(each, np.uint64).reshape(-1, 2) for each in (first, second)))
    once = [each for each in first if first.count(each) == 1 and second.count(each) == 1]
    assert sorted(zip(*(each.tolist() for each in found), strict=True)) == sorted(
        (first.index(each), second.index(each)) for each in once
    )


@given(_few)
def test_runs_are_of_equal_digests_in_their_order(digested: list[tuple[int, int]]) -> None:
    order, same = runs(np.array(digested, np.uint64).reshape(-1, 2))
    in_order = [digested[place] for place in order.tolist()]
    assert same.tolist() == [one == other for one, other in pairwise(in_order)]
    assert [
        next_ for place, next_, alike in zip(order[:-1], order[1:], same, strict=True) if alike and next_ < place
    ] == []
    assert len({*in_order}) == len(in_order) - same.sum()
