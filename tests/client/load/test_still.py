"""An aborted job of which a batch is still at work: its unprocessed records are not what they seem."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.still import (
    BATCH_SECONDS,
    LEAST_SECONDS,
    MOST_SECONDS,
    still_seconds,
    wait_until_still,
)
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from tests.client.protocol.by_hand import JOB_ID, JSON, Hand, job, ok

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
INGEST = IngestCalls("66.0")


def clock(at: datetime = NOW) -> Reply:
    return Reply(200, {**JSON, "date": format_datetime(at, usegmt=True)}, b"[]")


def ended(state: str = "Aborted", processed: int = 0, *, ago: float = 0.0, **more: object) -> dict[str, object]:
    modified = (NOW - timedelta(seconds=ago)).isoformat()
    return job(state, numberRecordsProcessed=processed, numberRecordsFailed=0, systemModstamp=modified, **more)


def wait(hand: Hand, first: dict[str, object], records: int) -> JobInfo:
    info = JobInfo.from_json(first)
    part = UploadedPart(number=0, job_id=JOB_ID, records=records, length=1, sha256="")
    found: JobInfo = hand.run(wait_until_still(INGEST, [part], {JOB_ID: info})).get(JOB_ID, info)
    return found


@pytest.mark.parametrize(
    "first",
    [
        ended("JobComplete", 40),
        ended("Aborted", 40),
        ended("Failed", errorMessage="InvalidBatch : Field name not found : Foo"),
    ],
)
def test_a_job_that_left_nothing_or_never_began_is_not_waited_for(first: dict[str, object]) -> None:
    hand = Hand([])
    wait(hand, first, 40)
    assert not hand.sleeps


def test_records_that_a_batch_saves_after_the_abort_are_not_taken_for_unprocessed() -> None:
    hand = Hand([clock(), ok(ended()), ok(ended(processed=200)), *[ok(ended(processed=200))] * 60])
    assert wait(hand, ended(), 5000).processed == 200
    assert hand.now > 100, "from the last change on, as long as the rest may take"


@pytest.mark.parametrize(("records", "seconds"), [(40, LEAST_SECONDS), (5_000, 150.0), (9_000_000, BATCH_SECONDS)])
def test_the_wait_is_as_long_as_one_batch_may_take(records: int, seconds: float) -> None:
    hand = Hand([clock(), *[ok(ended())] * 60])
    wait(hand, ended(), records)
    assert hand.now == pytest.approx(seconds) == still_seconds(records)


def test_a_retry_that_comes_later_waits_for_nothing() -> None:
    hand = Hand([clock()])
    wait(hand, ended(ago=BATCH_SECONDS), 1_000_000)
    assert hand.now == 0


@pytest.mark.parametrize("reply", [Reply(200, JSON, b"[]"), Reply(404, JSON, b"[]")])
def test_without_the_org_s_time_the_whole_time_is_waited(reply: Reply) -> None:
    hand = Hand([reply, *[ok(ended(ago=1e6))] * 60])
    wait(hand, ended(ago=1e6), 40)
    assert hand.now == pytest.approx(LEAST_SECONDS)


def test_a_job_that_never_stops_changing_is_not_waited_for_without_end() -> None:
    first = ended(ago=-1.0)
    hand = Hand([clock(), *(ok(ended(ago=-float(number))) for number in range(2, 10_000))])
    with pytest.raises(ProtocolError, match="still change a day later"):
        wait(hand, first, 40)
    assert hand.now <= MOST_SECONDS + BATCH_SECONDS
