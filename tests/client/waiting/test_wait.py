"""Waiting: when it looks, what it survives, and how it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.effects import Now
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.waiting.schedule import (
    BLIND_SECONDS,
    LIMIT_PAUSE_SECONDS,
    REFUSALS,
    UNCHANGED_AT_ONCE,
    Schedule,
)
from airflow_provider_sfbulk.client.waiting.wait import check_complete, poll_once, wait_until_final
from tests.client.protocol.by_hand import JOB_ID, Hand, job, ok, refused

INGEST = IngestCalls("66.0")
OTHER = "7508d000003QZZZAAK"
CUT = errors.TransportError("cut")
USED_UP = refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def test_a_job_that_is_final_is_looked_at_once():
    hand = Hand([ok(job("JobComplete"))])
    assert hand.run(wait_until_final(INGEST, [JOB_ID]))[0].state is JobState.JOB_COMPLETE
    assert hand.sleeps == []


@pytest.mark.parity("K1.3", "K8.3")
def test_pauses_grow_with_the_age_of_the_wait_up_to_the_longest():
    hand = Hand([ok(job("InProgress"))] * 60 + [ok(job("JobComplete"))])
    hand.run(wait_until_final(INGEST, [JOB_ID], schedule=Schedule(first=1, growth=0.2, longest=60)))
    pauses = [each.seconds for each in hand.sleeps]
    assert pauses[:5] == [1.0] * 5
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60.0
    assert all(each.jitter == 0.1 for each in hand.sleeps)


def test_several_jobs_are_waited_for_together_and_come_back_in_order():
    replies = [ok(job("InProgress")), ok(job("JobComplete", OTHER)), ok(job("Failed"))]
    hand = Hand(replies)
    found = hand.run(wait_until_final(INGEST, [JOB_ID, OTHER, JOB_ID]))
    assert [(each.id, each.state) for each in found] == [(JOB_ID, JobState.FAILED), (OTHER, JobState.JOB_COMPLETE)]
    assert len(hand.requests) == 3  # a final job is not looked at again


def test_progress_is_told_at_every_look():
    seen = []
    replies = [ok(job("InProgress", numberRecordsProcessed=n)) for n in (0, 5)] + [ok(job("JobComplete"))]
    Hand(replies).run(wait_until_final(INGEST, [JOB_ID], on_progress=lambda each: seen.append(each.processed)))
    assert seen == [0, 5, 0]


def test_the_end_of_the_wait_names_the_job_and_says_that_it_goes_on():
    hand = Hand([ok(job("InProgress"))] * 20)
    with pytest.raises(errors.JobTimeoutError, match=f"where they continue: {JOB_ID} \\(InProgress\\)") as caught:
        hand.run(wait_until_final(INGEST, [JOB_ID], timeout=10))
    assert isinstance(caught.value, TimeoutError)
    assert hand.now == 10
    assert hand.calls[-1].startswith("GET")  # one last look at the very end


def test_looks_that_fail_make_the_pauses_longer_and_fail_nothing():
    hand = Hand([CUT, CUT, refused(503, "SERVER_UNAVAILABLE"), ok(job("JobComplete"))])
    assert hand.run(wait_until_final(INGEST, [JOB_ID]))[0].is_final
    assert [each.seconds for each in hand.sleeps] == pytest.approx([2.0, 4.0, 9.6])


def test_used_up_calls_are_not_spent_on_looking():
    hand = Hand([USED_UP, ok(job("JobComplete"))])
    hand.run(wait_until_final(INGEST, [JOB_ID]))
    assert hand.sleeps[0].seconds == LIMIT_PAUSE_SECONDS


def test_a_wait_that_saw_nothing_at_its_end_says_why():
    with pytest.raises(errors.JobTimeoutError, match="unread") as caught:
        Hand([CUT] * 20).run(wait_until_final(INGEST, [JOB_ID], timeout=5))
    assert caught.value.__cause__ is CUT


@pytest.mark.parity("I3.12")
def test_a_wait_without_an_end_gives_up_after_a_day_of_blindness():
    hand = Hand([USED_UP] * 200)
    with pytest.raises(errors.RequestLimitError):
        hand.run(wait_until_final(INGEST, [JOB_ID]))
    assert hand.now >= BLIND_SECONDS


NO_USER = refused(400, "InvalidUser", "user is not enabled for Bulk API")
NO_ACCESS = refused(403, "INSUFFICIENT_ACCESS", "no access to the job")


def test_a_job_that_is_gone_ends_the_wait():
    with pytest.raises(errors.NotFoundError):
        Hand([refused(404, "NOT_FOUND")]).run(wait_until_final(INGEST, [JOB_ID]))


ODD = [ok([]), ok({}), ok(job("Resting")), ok({**job("InProgress"), "id": OTHER})]


@pytest.mark.parametrize("reply", [NO_USER, NO_ACCESS, refused(400, "ClientInputError"), *ODD])
def test_a_call_that_is_refused_for_a_moment_ends_no_wait(reply):
    hand = Hand([*[reply] * (REFUSALS - 1), ok(job("InProgress")), reply, ok(job("JobComplete"))])
    assert hand.run(wait_until_final(INGEST, [JOB_ID]))[0].is_final


@pytest.mark.parametrize("reply", [NO_USER, NO_ACCESS])
def test_a_call_that_is_refused_again_and_again_ends_the_wait_with_the_refusal(reply):
    hand = Hand([reply] * REFUSALS)
    with pytest.raises((errors.LoginError, errors.RequestRefusedError), match=r"InvalidUser|INSUFFICIENT_ACCESS"):
        hand.run(wait_until_final(INGEST, [JOB_ID]))
    assert hand.now > 60


def test_a_login_that_is_refused_is_not_tried_again():
    with pytest.raises(errors.LoginError):
        Hand([errors.LoginError("no", path="/services/oauth2/token")]).run(wait_until_final(INGEST, [JOB_ID]))


def test_many_jobs_cost_one_call_each_and_a_few_more_with_each_look():
    ids = [f"75000000000{n:04}AAA" for n in range(41)]
    seen, calls = [], []

    class Org:
        def get_once(self, job_id):
            calls.append(job_id)
            now = yield Now()
            state = "JobComplete" if now > 30 + ids.index(job_id) else "InProgress"
            return JobInfo.from_json(job(state, job_id))

    hand = Hand([])
    infos = hand.run(wait_until_final(Org(), ids, schedule=Schedule(first=1, growth=0.2), on_poll=seen.append))
    assert [info.id for info in infos] == ids
    assert all(info.is_final for info in infos)
    assert len(calls) <= 2 * len(ids) + UNCHANGED_AT_ONCE * len(seen)
    assert len({info.id for looked in seen[1:6] for info in looked}) == 15, "they take turns"


def test_a_look_that_breaks_off_is_made_up_for():
    ids = [f"75000000000{n:04}AAA" for n in range(9)]
    replies = [*(ok(job("InProgress", each)) for each in ids[:5]), CUT]
    replies += [ok(job("InProgress", each)) for each in [*ids[5:], *ids[:5]]]
    assert [info.id for info in Hand(replies).run(poll_once(INGEST, ids))] == ids


@given(st.lists(st.sampled_from(["ok", "cut", "refused", "done"]), max_size=60), st.integers(1, 6))
def test_a_wait_ends_with_all_jobs_final_or_with_an_error_that_was_given(events, number):
    ids = [f"75000000000{n:04}AAA" for n in range(number)]
    happening = iter([*events, *["done"] * number])

    class Org:
        def get_once(self, job_id):
            yield Now()
            match next(happening):
                case "cut":
                    raise errors.TransportError("cut")
                case "refused":
                    raise errors.RequestRefusedError("no", path="/services/data/v66.0/jobs")
                case state:
                    return JobInfo.from_json(job("JobComplete" if state == "done" else "InProgress", job_id))

    try:
        infos = Hand([]).run(wait_until_final(Org(), ids))
    except errors.RequestRefusedError:
        assert events.count("refused") >= 1
        assert sum(event in ("cut", "refused") for event in events) >= REFUSALS
    else:
        assert [(info.id, info.is_final) for info in infos] == [(job_id, True) for job_id in ids]


@pytest.mark.parity("K7.4")
def test_a_failed_job_is_told_with_salesforces_reason():
    failed = JobInfo.from_json(job("Failed", errorMessage="InvalidBatch : Field name not found : Foo__c"))
    with pytest.raises(errors.JobFailedError, match="Field name not found : Foo__c"):
        check_complete(failed)
    with pytest.raises(errors.JobFailedError, match="aborted"):
        check_complete(JobInfo.from_json(job("Aborted")))
    done = JobInfo.from_json(job("JobComplete", numberRecordsProcessed=2, numberRecordsFailed=2))
    assert check_complete(done) is done
