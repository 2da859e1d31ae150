"""Pages of a query: in order or at once, proven one by one and all together."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.extract.pages import PageSink, pages, result_pages
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from tests.client.protocol.by_hand import CSV, JOB_ID, Hand, Kept, job, ok, page

QUERY = QueryCalls("66.0")
BASE = f"/services/data/v66.0/jobs/query/{JOB_ID}"
CUT = errors.TransportError("cut")


def done(records: int) -> JobInfo:
    return JobInfo.from_json(job("JobComplete", numberRecordsProcessed=records))


def run(replies, job_info, **options):
    hand = Hand(replies)
    sinks: dict[int, Kept] = {}

    def make_sink(index):
        sinks[index] = sinks.get(index) or Kept()
        return sinks[index]

    try:
        found = hand.run(pages(QUERY, job_info, make_sink, **options))
    finally:
        hand.sinks = sinks  # type: ignore[attr-defined]
        run.last = hand  # type: ignore[attr-defined]
    return hand, found


def queries(hand: Hand) -> list[dict[str, str]]:
    return [dict(request.query) for request in hand.requests]


def test_pages_are_read_in_order_until_the_locator_is_null():
    hand, found = run([page(3, "AAA"), page(3, "BBB"), page(1, None)], done(7), max_records=3)
    assert queries(hand) == [
        {"maxRecords": "3"},
        {"locator": "AAA", "maxRecords": "3"},
        {"locator": "BBB", "maxRecords": "3"},
    ]
    assert [(each.index, each.locator, each.next_locator, each.records) for each in found] == [
        (0, None, "AAA", 3),
        (1, "AAA", "BBB", 3),
        (2, "BBB", None, 1),
    ]
    assert [sink.data.count(b"\n") - 1 for sink in hand.sinks.values()] == [3, 3, 1]


def test_a_query_without_records_is_one_page_with_its_header_row():
    _, found = run([page(0, None)], done(0))
    assert [(each.records, each.header) for each in found] == [(0, b'"Id"')]


@pytest.mark.parametrize(
    "bad",
    [
        CUT,
        Reply(200, {"content-type": "text/html"}, b"<html>"),
        Reply(200, {**CSV, "sforce-locator": "null"}, b'"Id"\n'),
        Reply(200, {**CSV, "sforce-numberofrecords": "1"}, b'"Id"\n"x"\n'),
        page(2, None, header=b'"Name"\n'),
        page(0, None, header=b""),
        Reply(204, {}, b""),
        Reply(503, {}, b"<html>"),
    ],
    ids=["cut", "html", "no count", "no locator", "other header", "no header row", "no content", "busy"],
)
def test_a_page_that_is_not_whole_is_read_again_from_its_own_locator(bad):
    hand, found = run([page(2, "AAA"), bad, page(2, None)], done(4))
    assert queries(hand) == [{}, {"locator": "AAA"}, {"locator": "AAA"}]
    assert sum(each.records for each in found) == 4


def test_a_page_that_never_comes_whole_is_given_up_after_five_tries():
    with pytest.raises(errors.TransportError):
        run([CUT] * 9, done(1))
    assert len(run.last.requests) == 5  # type: ignore[attr-defined]


def test_a_page_whose_sink_counts_too_few_records_is_read_again():
    hand = Hand([page(2, None), page(2, None)])
    sink = Kept([errors.TransportError("1 record in place of 2"), None])
    hand.run(pages(QUERY, done(2), lambda index: sink))
    assert (sink.starts, sink.discards) == (2, 1)


def test_pages_that_go_round_in_a_circle_are_refused():
    with pytest.raises(errors.ProtocolError, match="twice"):
        run([page(1, "AAA"), page(1, "BBB"), page(1, "AAA")], done(9))


def test_a_locator_of_another_form_is_refused():
    with pytest.raises(errors.ProtocolError):
        run([page(1, "a b&c")], done(1))


def test_pages_must_add_up_to_what_the_job_says():
    with pytest.raises(errors.ProtocolError, match="1 records, but the job counts 2"):
        run([page(1, None)], done(2))


def test_a_job_that_does_not_know_its_records_is_read_again():
    created = JobInfo.from_json(job("JobComplete"))
    hand, _ = run([page(1, None), ok(job("JobComplete", numberRecordsProcessed=1))], created)
    assert hand.calls[-1] == f"GET {BASE}"


def listed(*locators, following=None, key="nextRecordsUrl", last=True) -> Reply:
    urls = [{"resultUrl": f"{BASE}/results?locator={locator}"} for locator in locators]
    return ok({"resultPages": urls, key: following, "done": last})


@pytest.mark.parity("B1.1")
def test_all_pages_are_listed_with_either_spelling_of_the_next_list():
    for key in ("nextRecordsUrl", "nextRecordUrl"):
        more = listed("AAA", "BBB", following=f"{BASE}/resultpages?locator=NQ", key=key, last=False)
        hand = Hand([more, listed("CCC")])
        assert hand.run(result_pages(QUERY, JOB_ID)) == ["AAA", "BBB", "CCC"]
        assert hand.calls == [f"GET {BASE}/resultPages"] * 2
        assert queries(hand) == [{}, {"locator": "NQ"}]


@pytest.mark.parametrize(
    "reply",
    [
        listed("AAA", "AAA"),
        listed("AAA", last=False),
        ok({"done": True}),
        ok({"resultPages": ["x"], "done": True}),
        ok({"resultPages": [{"resultUrl": "/services/data/v66.0/jobs/query/7508d000003QZZZAAK/results?locator=A"}]}),
        ok({"resultPages": [{"resultUrl": f"https://evil.example{BASE}/results?locator=A"}], "done": True}),
        ok({"resultPages": [{"resultUrl": f"{BASE}/results"}], "done": True}),
        listed(following="x", last=False),
    ],
)
def test_a_list_of_pages_that_leads_elsewhere_is_refused(reply):
    with pytest.raises(errors.ProtocolError):
        Hand([reply]).run(result_pages(QUERY, JOB_ID))


def test_lists_of_pages_that_go_round_in_a_circle_are_refused():
    url = f"{BASE}/resultpages?locator=NQ"
    with pytest.raises(errors.ProtocolError, match="twice"):
        Hand([listed("AAA", following=url, last=False), listed("BBB", following=url, last=False)]).run(
            result_pages(QUERY, JOB_ID)
        )


def test_several_pages_at_once_are_compared_with_the_first():
    hand, found = run([listed("AAA", "BBB", "CCC"), page(2, None), page(2, "x"), page(1, None)], done(5), at_once=3)
    assert [(each.index, each.locator, each.records) for each in found] == [(0, "AAA", 2), (1, "BBB", 2), (2, "CCC", 1)]
    assert queries(hand)[1:] == [{"locator": "AAA"}, {"locator": "BBB"}, {"locator": "CCC"}]


def test_an_org_of_an_older_version_is_read_in_order():
    hand = Hand([page(1, None)])
    hand.run(pages(QueryCalls("57.0"), done(1), lambda index: Kept(), at_once=4))
    assert "resultPages" not in hand.calls[0]


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_later_try_goes_on_behind_the_pages_it_has(at_once, kept):
    lists = [listed("AAA", "BBB", "CCC")] if at_once > 1 else []
    all_pages = [page(2, "BBB"), page(2, "CCC"), page(1, None)]
    noted = []

    def on_page(each):
        noted.append(each)
        yield from ()

    run([*lists, *all_pages], done(5), at_once=at_once, on_page=on_page)
    before = noted[:kept]
    hand, found = run([*lists, *all_pages[kept:]], done(5), at_once=at_once, done=before)
    assert found == noted
    assert len(hand.requests) == len(lists) + 3 - kept


def kept_pages():
    """Three pages that an earlier try read in order, and three that it read at once."""
    noted = {}
    for at_once in (1, 4):
        noted[at_once] = []

        def on_page(each, to=noted[at_once]):
            to.append(each)
            yield from ()

        lists = [listed("AAA", "BBB", "CCC")] if at_once > 1 else []
        run([*lists, page(2, "BBB"), page(2, "CCC"), page(1, None)], done(5), at_once=at_once, on_page=on_page)
    return noted[1], noted[4]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_page_that_is_missing_among_the_kept_ones_is_read_from_its_own_locator(missing):
    in_order, at_once = kept_pages()
    replies = [page(2, "BBB"), page(2, "CCC"), page(1, None)]
    hand, found = run([replies[missing]], done(5), done=[each for each in in_order if each.index != missing])
    assert found == in_order
    assert queries(hand) == [{} if missing == 0 else {"locator": in_order[missing].locator}]
    kept = [each for each in at_once if each.index != missing]
    hand, found = run([listed("AAA", "BBB", "CCC"), replies[missing]], done(5), done=kept, at_once=4)
    assert found == at_once
    assert queries(hand)[1:] == [{"locator": at_once[missing].locator}]


def test_kept_pages_that_are_not_where_they_were_named_are_read_again():
    in_order, at_once = kept_pages()
    hand, found = run([page(2, "ZZZ"), page(3, None)], done(5), done=in_order[1:])
    assert [each.locator for each in found] == [None, "ZZZ"]
    assert len(hand.requests) == 2
    lists = listed("AAA", "CCC", "BBB")
    hand, found = run([lists, page(1, None), page(2, None)], done(5), done=at_once, at_once=4)
    assert [each.locator for each in found] == ["AAA", "CCC", "BBB"]
    assert len(hand.requests) == 3


@given(body=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_the_header_row_is_found_however_the_bytes_are_cut(body, cuts):
    whole = b'"Id","N"\r\n' + body
    sink = PageSink(Kept(), header=None, in_order=True)
    sink.start(page(0, None))
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    for start, end in itertools.pairwise(places):
        sink.write(whole[start:end])
    sink.finish()
    assert sink.header == b'"Id","N"'
