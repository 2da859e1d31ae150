"""Decompression in pieces, however the bytes are cut."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.http.gunzip import PIECE_BYTES, Gunzip, Plain, decoder_for


def unzip(data: bytes, step: int) -> bytes:
    decoder = Gunzip()
    pieces = [piece for at in range(0, len(data), step) for piece in decoder.decode(data[at : at + step])]
    decoder.finish()
    return b"".join(pieces)


@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=3), step=st.integers(1, 80))
def test_members_are_joined_however_they_are_cut(bodies, step):
    assert unzip(b"".join(map(gzip.compress, bodies)), step) == b"".join(bodies)


@given(body=st.binary(max_size=300), step=st.integers(1, 80), data=st.data())
def test_every_cut_is_noticed(body, step, data):
    whole = gzip.compress(body)
    with pytest.raises(TransportError):
        unzip(whole[: data.draw(st.integers(0, len(whole) - 1))], step)


def test_a_small_body_does_not_become_one_huge_piece():
    sizes = [len(piece) for piece in Gunzip().decode(gzip.compress(bytes(5 * PIECE_BYTES)))]
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == 5 * PIECE_BYTES


def test_the_reply_tells_the_decoder():
    assert isinstance(decoder_for(Reply(200, {"content-encoding": "GZip"})), Gunzip)
    assert isinstance(decoder_for(Reply(200, {"content-encoding": "identity"})), Plain)
    assert isinstance(decoder_for(Reply(200, {"content-encoding": "gzip", "content-length": "0"})), Plain)
    assert isinstance(decoder_for(Reply(204, {"content-encoding": "gzip"})), Plain)
    with pytest.raises(ProtocolError):
        decoder_for(Reply(200, {"content-encoding": "gzip, br"}))
