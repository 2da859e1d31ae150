"""One HTTP exchange: what is sent, what is read, and every way in which a reply can be cut. Both drivers."""

from __future__ import annotations

import socket
import threading
import traceback

import pytest

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.effects import Body, Fetch, Request, Send, Token
from airflow_provider_sfbulk.client.http import exchange
from airflow_provider_sfbulk.client.http.exchange import Memory
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, fetch
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.settings import Settings
from tests.client.http.outcome import one
from tests.client.http.raw_server import Answer, chunked, reply, until_close, zipped

GET = ApiCall("GET", "/services/data/v66.0/x", query=(("locator", "a+b/c="), ("maxRecords", "5")))
CSV = b'"Id"\n' + b'"001000000000001"\n' * 500
JOB_ID = "7508d000003QaLpAAK"


def send(request: Request):
    return (yield Send(request))


class Counted(Memory):
    """A sink that knows how many records it has to get, as those of results do."""

    def __init__(self, records: int) -> None:
        super().__init__()
        self.records = records
        self.discards = self.finishes = 0

    def start(self, reply) -> None:
        self.discard()
        self.discards = 0
        self._size = 0

    def finish(self) -> None:
        if self.data.count(b"\n") - 1 != self.records:
            raise errors.TransportError("records are missing")
        self.finishes += 1

    def discard(self) -> None:
        super().discard()
        self.discards += 1


@pytest.mark.parity("G14.1")
def test_a_request_is_sent_as_it_is_written(make, server):
    server.answers = [reply(b"{}")]
    driver = make(server.url)
    found = one(driver, call(GET))
    (asked,) = server.asked
    assert asked.method == "GET"
    assert asked.target == "/services/data/v66.0/x?locator=a%2Bb%2Fc%3D&maxRecords=5"
    assert asked.headers["authorization"] == "Bearer 00Dtoken"
    assert asked.headers["accept-encoding"] == "gzip"
    assert asked.headers["user-agent"] == "airflow-provider-sfbulk"
    assert "cookie" not in asked.headers
    assert found.body == b"{}"
    assert found.headers["content-type"] == "text/csv"


@pytest.mark.parametrize(
    "answer",
    [
        reply(CSV),
        chunked(CSV),
        until_close(CSV),
        reply(zipped(CSV), Content_Encoding="gzip"),
        chunked(zipped(CSV), Content_Encoding="GZIP"),
        until_close(zipped(CSV), Content_Encoding="x-gzip"),
        reply(zipped(CSV[:100]) + zipped(CSV[100:]), Content_Encoding="gzip"),
    ],
    ids=["length", "chunks", "close", "gzip length", "gzip chunks", "gzip close", "gzip members"],
)
@pytest.mark.parity("G14.1")
def test_a_whole_body_is_read_in_every_framing(make, server, answer):
    server.answers = [answer]
    sink = Counted(500)
    one(make(server.url), fetch(GET, sink))
    assert sink.data == CSV
    assert (sink.finishes, sink.discards) == (1, 0)


HALF = CSV[: len(CSV) // 2]
CUT_GZIP = zipped(CSV)[:-20]


@pytest.mark.parametrize(
    "answer",
    [
        reply(HALF, length=len(CSV)),
        chunked(HALF, end=False),
        until_close(HALF),
        chunked(CUT_GZIP, Content_Encoding="gzip"),
        reply(CUT_GZIP, Content_Encoding="gzip"),
        until_close(CUT_GZIP, Content_Encoding="gzip"),
        reply(zipped(CSV)[:-8], Content_Encoding="gzip"),
        reply(zipped(CSV)[:-4] + b"\0\0\0\0", Content_Encoding="gzip"),
        until_close(b"", Content_Encoding="gzip"),
        reply(CSV, Content_Encoding="gzip"),
        reply(CSV[:-18]),
        Answer(b"HTTP/1.1 200 OK\r\nContent-Ty", close=True),
        Answer(b"", close=True),
        Answer(b"nonsense\r\n\r\n", close=True),
    ],
    ids=[
        "Content-Length, body short",
        "chunked, no terminator",
        "no length, Connection: close",
        "gzip cut, chunk terminator present",
        "gzip cut, Content-Length matches",
        "gzip cut, Connection: close",
        "gzip without its trailer",
        "gzip with a wrong length",
        "gzip of nothing",
        "not gzip at all",
        "fewer rows, valid framing",
        "cut in the head",
        "no reply at all",
        "not HTTP",
    ],
)
def test_no_cut_is_silent(make, server, answer):
    server.answers = [answer]
    sink = Counted(500)
    with pytest.raises(errors.TransportError) as caught:
        one(make(server.url), fetch(GET, sink))
    assert caught.value.sent is True
    assert caught.value.path == "/services/data/v66.0/x"
    assert sink.finishes == 0
    assert sink.data == b""
    assert len(server.asked) == 1  # whether it is repeated is for the flow to say


@pytest.mark.parity("A5.7")
def test_what_salesforce_warns_of_is_logged_once(make, server, caplog):
    warning = '299 - "This API is deprecated and will be removed by Summer \'27"'
    server.answers = [reply(b"{}", Warning=warning), reply(b"{}", Warning=warning), reply(b"{}")]
    driver = make(server.url)
    for _ in server.answers[:]:
        one(driver, call(GET))
    (told,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert "Summer" in told
    assert "/services/data/v66.0/x" in told


def test_a_cut_page_is_fetched_again_by_its_flow(make, server):
    server.answers = [reply(CUT_GZIP, Content_Encoding="gzip"), reply(HALF, length=len(CSV)), reply(CSV)]
    sink = Counted(500)
    one(make(server.url, sleep=lambda seconds: None), IngestCalls("66.0").results(JOB_ID, "failed", sink))
    assert sink.data == CSV
    assert len(server.asked) == 3


def test_a_body_in_another_coding_is_refused(make, server):
    server.answers = [reply(b"x", Content_Encoding="br")]
    with pytest.raises(errors.ProtocolError, match="'br'"):
        one(make(server.url), call(GET))


def test_a_body_that_must_be_small_is_not_read_without_end(make, server, monkeypatch):
    monkeypatch.setattr(exchange, "REPLY_BYTES", 100_000)
    server.answers = [reply(zipped(b"a" * 3_000_000), Content_Encoding="gzip")]
    with pytest.raises(errors.ProtocolError, match="100,000"):
        one(make(server.url), call(GET))


def test_a_server_that_says_nothing_is_given_up(make, server):
    over = threading.Event()
    server.answers = [Answer(b"", close=True, wait=over)]
    settings = Settings.from_mapping({"access_token": "t", "instance_url": server.url, "timeout": 2})
    with pytest.raises(errors.TransportError) as caught:
        one(make(settings), call(GET))
    over.set()
    server.close()  # it has read all there was
    assert caught.value.sent is True
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_a_refused_reply_and_the_token_stays_here(make, server, status):
    server.answers = [reply(b"", status, Location=f"{server.url}/elsewhere"), reply(b"{}")]
    with pytest.raises(errors.RequestRefusedError, match="redirects are not followed"):
        one(make(server.url), call(GET))
    assert len(server.asked) == 1


def test_the_credentials_of_netrc_are_not_sent(make, server, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password evil\ndefault login eve password evil\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.answers = [reply(b"{}"), reply(b"{}")]
    driver = make(server.url)
    one(driver, call(GET))
    one(driver, send(Request("POST", f"{server.url}/services/oauth2/token", body=Body.of(b"a=b", "x/y"))))
    assert [asked.headers.get("authorization") for asked in server.asked] == ["Bearer 00Dtoken", None]


def test_cookies_are_not_kept(make, server):
    server.answers = [reply(b"{}", Set_Cookie="BrowserId=x; path=/"), reply(b"{}")]
    driver = make(server.url)
    one(driver, call(GET))
    one(driver, call(GET))
    assert all("cookie" not in asked.headers for asked in server.asked)
    assert server.connections == 1  # and the connection is used again


def test_this_machine_is_reached_without_the_proxy(make, server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answers = [reply(b"{}")]
    one(make(server.url), call(GET))
    assert server.asked[0].target.startswith("/services")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_other_hosts_are_reached_through_the_proxy_of_the_environment(make, server, monkeypatch, scheme):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, server.url)
    server.answers = [reply(b"no", "502 Bad Gateway"), reply(b"no", "502 Bad Gateway")]
    driver = make(server.url)
    try:
        one(driver, send(Request("GET", f"{scheme}://acme.my.salesforce.com/services/data/")))
    except errors.TransportError as error:
        assert error.sent is False  # noqa: PT017 - http has a reply, https has no tunnel
    assert "acme.my.salesforce.com" in server.asked[0].target


def proxied(monkeypatch, proxy, *, but=""):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, but)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)


@pytest.mark.parametrize("but", ["10.96.0.0/12,.svc,fd00::/8", "[::1]", "fe80::/10"])
def test_networks_that_are_reached_without_the_proxy_may_be_of_ipv6(make, server, monkeypatch, but):
    proxied(monkeypatch, server.url, but=but)
    server.answers = [reply(b"no", "502 Bad Gateway")]
    with pytest.raises(errors.TransportError):
        one(make(server.url), send(Request("GET", "https://acme.my.salesforce.com/services/data/")))
    assert server.asked[0].target == "acme.my.salesforce.com:443"


@pytest.mark.parametrize("proxy", ["ftp://secret@p.example", "http://[secret", "http://p.example:99999"])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_said_without_being_shown(make, server, monkeypatch, proxy):
    proxied(monkeypatch, proxy)
    with pytest.raises(errors.SourceError, match="the environment's HTTPS_PROXY") as caught:
        one(make(server.url), send(Request("GET", "https://acme.my.salesforce.com/services/data/")))
    assert "secret" not in str(caught.value)


def test_the_connections_proxy_goes_before_the_environments(make, server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    server.answers = [reply(b"no", "502 Bad Gateway"), reply(b"{}")]
    given = {"access_token": "00Dtoken", "instance_url": server.url, "proxy": server.url}
    driver = make(Settings.from_mapping(given))
    with pytest.raises(errors.TransportError):
        one(driver, send(Request("GET", "https://acme.my.salesforce.com/services/data/")))
    assert (server.asked[0].method, server.asked[0].target) == ("CONNECT", "acme.my.salesforce.com:443")
    one(driver, call(GET))  # this machine is reached without it
    assert server.asked[1].target.startswith("/services")


def test_a_request_that_found_nobody_was_not_sent(make):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(errors.TransportError) as caught:
        one(make(f"http://127.0.0.1:{port}"), call(GET))
    assert caught.value.sent is False


def upload(data: bytes, pieces: int = 7) -> Body:
    return Body(lambda: (data[at : at + pieces] for at in range(0, len(data), pieces)), len(data), "text/csv")


def test_an_upload_is_streamed_with_its_length(make, server):
    server.answers = [reply(b"", "201 Created")]
    one(make(server.url), IngestCalls("66.0").upload(JOB_ID, upload(CSV, 1000)))
    (asked,) = server.asked
    assert asked.body == CSV
    assert asked.headers["content-length"] == str(len(CSV))
    assert asked.headers["content-type"] == "text/csv"
    assert "transfer-encoding" not in asked.headers


def test_an_empty_upload_has_a_length_too(make, server):
    server.answers = [reply(b"", "201 Created")]
    one(make(server.url), IngestCalls("66.0").upload(JOB_ID, upload(b"")))
    assert server.asked[0].headers["content-length"] == "0"
    assert "transfer-encoding" not in server.asked[0].headers


@pytest.mark.parametrize(
    "answer",
    [Answer(b"", close=True), reply(b"", "503 No", Retry_After="0"), reply(b"", "500 No"), reply(b"", "429 No"),
     reply(b"", "413 No", Retry_After="0"), reply(b"", "307 T", Location="/x"), reply(b"", "401 No")],
    ids=["dropped", "503", "500", "429", "413", "307", "401"],
)  # fmt: skip
def test_an_upload_reaches_the_server_once(make, server, answer):
    server.answers = [answer]
    with pytest.raises(errors.SfBulkError):
        one(make(server.url), IngestCalls("66.0").upload(JOB_ID, upload(CSV, 1000)))
    assert [asked.method for asked in server.asked] == ["PUT"]


@pytest.mark.parametrize("change", [-1, 1])
def test_data_that_changed_its_length_is_not_sent_as_whole(make, server, change):
    body = upload(CSV, 1000)
    wrong = Body(body.chunks, body.length + change, "text/csv")
    with pytest.raises(errors.SourceError, match="changed"):
        one(make(server.url), IngestCalls("66.0").upload(JOB_ID, wrong))


def test_data_that_cannot_be_read_is_not_the_networks_fault(make, server):
    def chunks():
        yield b"a"
        raise OSError(5, "Input/output error")

    with pytest.raises(errors.SourceError, match="Input/output error"):
        one(make(server.url), IngestCalls("66.0").upload(JOB_ID, Body(chunks, 5, "text/csv")))


def test_what_a_sink_raises_comes_out_and_the_sink_is_told(make, server):
    class Full(Counted):
        def write(self, data):
            raise OSError(28, "No space left on device")

        def discard(self):
            super().discard()
            raise RuntimeError("cleaning up fails too")

    class Counting(Full):
        def start(self, reply):
            pass

    server.answers = [reply(CSV)]
    sink = Counting(500)
    with pytest.raises(OSError, match="No space left"):
        one(make(server.url), fetch(GET, sink))
    assert sink.discards == 1


def test_a_reply_that_is_not_200_does_not_reach_the_sink(make, server):
    server.answers = [reply(b"no", "404 Not Found"), reply(b"", "204 No Content")]
    driver, sink = make(server.url), Counted(0)
    request = Request("GET", f"{server.url}/x")

    def flow():
        return (yield Fetch(request, sink)), (yield Fetch(request, sink))

    refused, empty = one(driver, flow())
    assert (refused.status, refused.body, empty.status) == (404, b"no", 204)
    assert (sink.finishes, sink.discards) == (0, 0)


def test_calls_are_counted_and_usage_is_kept(make, server):
    server.answers = [reply(b"[]"), reply(b"{}", Sforce_Limit_Info="api-usage=18/5000"), reply(b"{}")]
    driver = make(server.url)
    for path in ("/services/data/", "/services/data/v66.0/limits", "/services/oauth2/userinfo"):
        one(driver, call(ApiCall("GET", path)))
    assert driver.driver.calls == 1
    assert (driver.driver.usage.used, driver.driver.usage.allowed) == (18, 5000)


def test_the_log_names_the_call_and_nothing_secret(make, server, caplog):
    server.answers = [reply(b"{}")]
    with caplog.at_level("DEBUG", logger="airflow_provider_sfbulk"):
        one(make(server.url), call(GET))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_sfbulk")]
    assert len(lines) == 1
    assert lines[0].startswith("GET /services/data/v66.0/x: 200 in ")


def test_no_way_to_fail_shows_the_token_or_the_query(make, server):
    answers = [
        Answer(b"", close=True),
        Answer(b"nonsense\r\n\r\n", close=True),
        reply(b"", "500 No"),
        reply(b"", "302 Found", Location="http://[bad"),
        reply(HALF, length=len(CSV)),
        reply(b"\xff", Content_Encoding="gzip"),
        reply(b"", "401 No"),
    ]
    for answer in answers:
        server.answers = [answer, answer]
        with pytest.raises(errors.SfBulkError) as caught:
            one(make(server.url), call(GET))
        shown = "".join(traceback.format_exception(caught.value, chain=False)) + repr(vars(caught.value))
        assert "00Dtoken" not in "".join(traceback.format_exception(caught.value))
        assert "locator" not in shown.replace('("locator"', "")


def test_tokens_compare_and_stay_hidden():
    assert "secret" not in repr(Token("secret", "https://x"))
