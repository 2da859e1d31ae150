"""What comes is distrusted: errors in both shapes, hostile XML, cut files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from starlette.responses import Response, StreamingResponse

from airflow_provider_sfbulk.client import BulkClient, errors
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.models import ContentType
from airflow_provider_sfbulk.client.bulk1.result_rows import read_batch_results
from airflow_provider_sfbulk.client.bulk1.results import Bulk1RowsFile
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.replies.refusal import read_refusals
from airflow_provider_sfbulk.client.replies.safe_xml import MOST_LEVELS, MalformedXmlError, parse
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from tests.client.bulk1.conftest import Once
from tests.client.protocol.by_hand import JOB_ID, Hand

NS = "http://www.force.com/2009/06/asyncapi/dataload"
ENTITY = '<?xml version="1.0"?><!DOCTYPE jobInfo [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE jobInfo [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
DTD = '<?xml version="1.0"?><!DOCTYPE jobInfo SYSTEM "http://127.0.0.1:9/evil.dtd">'


def xml(text: str, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/xml"}, text.encode())


def job_xml(prolog: str = "", state: str = "Open") -> str:
    return (
        f'{prolog}<jobInfo xmlns="{NS}"><id>{JOB_ID}</id><operation>insert</operation><state>{state}</state></jobInfo>'
    )


def refused(code: str) -> Reply:
    inner = f"<exceptionCode>{code}</exceptionCode><exceptionMessage>because</exceptionMessage>"
    return xml(f'<error xmlns="{NS}">{inner}</error>', 400)


# --- errors ---


@pytest.mark.parametrize("content_type", ["CSV", "JSON"])
@pytest.mark.parity("G2.8", "G12.9")
def test_an_ended_session_is_a_400_and_a_new_login_mends_it(
    client: BulkClient, org: LocalOrg, content_type: str
) -> None:
    job = client.bulk1.create_job("Account", "insert", content_type=content_type)
    org.expire_tokens()
    org.calls.clear()
    data = b"Name\nafter a new login\n" if content_type == "CSV" else b'[{"Name":"after a new login"}]'
    batch = client.bulk1.add_batch(job.id, data, content_type=content_type)
    ends = [(call.path.rpartition("/")[2], call.status) for call in org.calls]
    assert ends == [("batch", 400), ("token", 200), ("batch", 201)]
    assert [each.id for each in client.bulk1.list_batches(job.id)] == [batch.id]


def test_a_session_that_stays_ended_is_a_login_error() -> None:
    hand = Hand([refused("InvalidSessionId"), refused("InvalidSessionId")])
    with pytest.raises(errors.LoginError, match="InvalidSessionId"):
        hand.run(Bulk1Calls("66.0").get(JOB_ID))
    assert len(hand.logins) == 2


@pytest.mark.parametrize("in_json", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidJob", errors.RequestRefusedError),
        ("ClientInputError", errors.RequestRefusedError),
        ("FeatureNotEnabled", errors.RequestRefusedError),
        ("InvalidVersion", errors.RequestRefusedError),
        ("InvalidUser", errors.LoginError),
        ("ExceededQuota", errors.RequestLimitError),
        ("Timeout", errors.ServerBusyError),
        ("InternalServerError", errors.ServerBusyError),
        ("TooManyLockFailure", errors.ServerBusyError),
    ],
)
@pytest.mark.parity("G12.2", "G12.3", "G12.4", "G12.11", "G12.13", "G12.17")
def test_an_error_is_grouped_by_what_the_caller_can_do(code: str, kind: type[Exception], in_json: bool) -> None:
    if in_json:
        body = json.dumps({"exceptionCode": code, "exceptionMessage": "because"})
        reply = Reply(400, {"content-type": "application/json"}, body.encode())
    else:
        reply = refused(code)
    with pytest.raises(kind, match=f"{code}.*because") as raised:
        Hand([reply]).run(Bulk1Calls("66.0").get_once(JOB_ID))
    assert isinstance(raised.value, errors.SfBulkError)
    assert raised.value.error_code == code


def test_real_refusals_say_what_to_change(client: BulkClient) -> None:
    with pytest.raises(errors.RequestRefusedError, match=r"InvalidJob.*Unable to find object: Nope__c"):
        client.bulk1.create_job("Nope__c", "insert")
    with pytest.raises(errors.RequestRefusedError, match=r"InvalidJob.*seven days") as gone:
        client.bulk1.get_job(JOB_ID)
    assert gone.value.job_id == JOB_ID
    job = client.bulk1.create_job("Account", "insert", content_type="JSON")
    with pytest.raises(errors.RequestRefusedError, match="InvalidBatch"):
        client.bulk1.get_batch(job.id, "751000000000001AAA")


# --- XML ---


@pytest.mark.parametrize("prolog", [ENTITY, EXTERNAL, DTD])
def test_xml_with_a_document_type_or_entities_is_never_read(prolog: str) -> None:
    with pytest.raises(MalformedXmlError, match="document type or an entity"):
        parse(job_xml(prolog, "&b;" if prolog == ENTITY else "Open").encode())
    with pytest.raises(errors.TransportError, match="document type or an entity"):
        Hand([xml(job_xml(prolog))] * 1).run(Bulk1Calls("66.0").get_once(JOB_ID))
    assert read_refusals(f"{prolog}<error><exceptionCode>A</exceptionCode></error>".encode()) == []
    with pytest.raises(errors.TransportError):
        read_batch_results(f"{prolog}<results/>".encode(), ContentType.XML, records=None)


def test_xml_that_is_deep_or_cut_is_refused() -> None:
    assert parse(b"<a>" * MOST_LEVELS + b"</a>" * MOST_LEVELS).tag == "a"
    for text in (b"<a>" * (MOST_LEVELS + 1) + b"</a>" * (MOST_LEVELS + 1), b"<a>" * 1_000_000):
        with pytest.raises(MalformedXmlError):
            parse(text)
    whole = job_xml().encode()
    for cut in range(len(whole)):
        with pytest.raises(MalformedXmlError):
            parse(whole[:cut])
    for text in (b"", b"no XML", b"\xff\xfe<", b'<?xml version="1.0" encoding="latin-99"?><a/>', b"<a/><b/>"):
        with pytest.raises(MalformedXmlError) as raised:
            parse(text)
        assert "no XML," not in str(raised.value)


def test_what_breaks_in_xml_is_not_quoted() -> None:
    with pytest.raises(MalformedXmlError) as raised:
        parse(b"<a><cell-value-of-somebody></b></a>")
    assert "cell-value" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_reply_of_any_size_is_not_taken(client: BulkClient, org: LocalOrg) -> None:
    """``wire.REPLY_BYTES`` is the driver's, whatever it holds."""
    job = client.bulk1.create_job("Account", "insert")
    org.core.faults.add("bulk1.get", Endless())
    with pytest.raises(errors.ProtocolError, match=r"33554432|32|larger|more than"):
        client.bulk1.get_job(job.id)


class Endless(Fault):
    """A reply that does not end soon."""

    async def after(self, exchange: Exchange, response: Response) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"<jobInfo>"
            for _ in range(40):
                yield b" " * 1024 * 1024

        return StreamingResponse(chunks(), media_type="application/xml")


@pytest.mark.parity("G8.10")
@pytest.mark.parametrize(
    ("kind", "start", "row", "end"),
    [
        ("XML", b"<queryResult>", b"<records><Id>1</Id></records>", b"</queryResult>"),
        ("JSON", b"[", b'{"Id":"1"},\n', b'{"Id":"1"}]'),
        ("CSV", b'"Id"\n', b'"1"\n', b""),
    ],
)
def test_a_row_is_given_before_the_others_are_read(
    kind: str, start: bytes, row: bytes, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = start + row * 1_000_000 + end
    file = Bulk1RowsFile(ContentType(kind))
    file.start(Reply(200, {}, b""))
    file.write(data)
    file.finish()
    read, taken = file._opened().read, []

    def counted(size: int = -1) -> bytes:
        found = read(size)
        taken.append(len(found))
        return found

    monkeypatch.setattr(file._opened(), "read", counted)
    rows = file.rows()
    assert next(rows)["Id"] == "1"
    assert 0 < sum(taken) < len(data) // 2
    file.discard()


# --- replies that are not what they must be ---


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (xml("<other/>"), errors.ProtocolError),
        (xml(job_xml(state="Nonsense")), errors.ProtocolError),
        (xml(job_xml().replace(JOB_ID, "../../etc")), errors.ProtocolError),
        (xml(job_xml().replace(JOB_ID, "750000000000009AAA")), errors.ProtocolError),
        (Reply(200, {"content-type": "application/json"}, b"[]"), errors.ProtocolError),
        (Reply(200, {"content-type": "application/json"}, b'{"id":'), errors.TransportError),
        (Reply(200, {"content-type": "text/csv"}, b"Id\n"), errors.ProtocolError),
        (Reply(200, {"content-type": "text/html"}, b"<html>Down for maintenance</html>"), errors.ServerBusyError),
        (Reply(200, {}, b""), errors.ProtocolError),
    ],
)
def test_a_job_that_is_none_is_refused(reply: Reply, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Hand([reply]).run(Bulk1Calls("66.0").get_once(JOB_ID))


@pytest.mark.parametrize(
    "body",
    [
        b'"Id","Success","Created","Error"\n"a","true","true",""\n',
        b'"Id","Success","Created","Error"\n"a","true","true",""\n"b","true"',
        b'"Id","Success","Created"\n"a","true","true"\n"b","true","true"\n',
        b'"Id","Success","Created","Error"\n"a","yes","true",""\n"b","true","true",""\n',
        b"<html>Down</html>",
    ],
)
def test_results_that_are_not_whole_are_no_results(body: bytes) -> None:
    with pytest.raises((errors.TransportError, errors.ProtocolError)):
        read_batch_results(body, ContentType.CSV, records=2)


def test_results_that_come_cut_are_fetched_again(client: BulkClient, org: LocalOrg) -> None:
    job = client.bulk1.create_job("Account", "insert")
    batch = client.bulk1.add_batch(job.id, b"Name\nA\nB\n")
    client.bulk1.wait(job.id)
    org.core.faults.add("bulk1.result", Cut(1))
    assert [each.success for each in client.bulk1.results(job.id, batch.id)] == [True, True]


class Cut(Once):
    """The answer ends after a few bytes, as if that were all."""

    async def after(self, exchange: Exchange, response: Response) -> Response:
        return Response(b'"Id","Success","Created","Error"\n', media_type="text/csv") if self.is_due() else response
