"""Messages are found in a stream of bytes as they are, and the middle of one is in its middle."""

from __future__ import annotations

import io

import pytest

from tests.kills.wire.framing import FramingError, Message, read_message
from tests.kills.wire.steps import CLOSE, PAGE, kind_of

PUT = b"PUT /x HTTP/1.1\r\nContent-Length: 6\r\n\r\nabcdef"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n"
BARE = b"GET /y HTTP/1.1\r\nAccept: */*\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def test_messages_are_read_one_after_the_other_without_a_byte_changed() -> None:
    stream = io.BytesIO(PUT + BARE + CHUNKED + EMPTY)
    read = [message.head + message.body for _ in range(4) if (message := read_message(stream)) is not None]
    assert read == [PUT, BARE, CHUNKED, EMPTY]
    assert read_message(stream) is None


@pytest.mark.parametrize("whole", [PUT, BARE, CHUNKED, EMPTY])
def test_a_message_cut_anywhere_is_none(whole: bytes) -> None:
    for length in range(1, len(whole)):
        with pytest.raises(FramingError):
            read_message(io.BytesIO(whole[:length]))


def test_a_reply_that_ends_with_its_connection_is_refused() -> None:
    with pytest.raises(FramingError, match="ends with its connection"):
        read_message(io.BytesIO(b"HTTP/1.1 200 OK\r\n\r\nabc"))


def test_the_middle_is_in_the_body_if_there_is_one() -> None:
    assert Message(b"head\r\n\r\n", b"abcdef").half() == b"head\r\n\r\nabc"
    assert Message(b"head\r\n\r\n", b"").half() == b"head"


def test_requests_are_told_apart_without_their_ids() -> None:
    job = "750LO0000000001YAA"
    path = f"/services/data/v66.0/jobs/ingest/{job}"
    assert kind_of("PATCH", path, b'{"state":"UploadComplete"}') == (CLOSE, job)
    assert kind_of("PATCH", path, b'{"state":"Aborted"}') == ("PATCH jobs/ingest/{id} Aborted", job)
    results = f"/services/data/v66.0/jobs/query/{job}/results?locator=MTAw&maxRecords=2"
    assert kind_of("GET", results) == (PAGE, job)
    assert kind_of("GET", "/services/data/v66.0/sobjects/Account/describe") == ("GET sobjects/Account/describe", None)
