"""No request makes the org answer 500, nor fail at its end. ``python -m tests.local_org.fuzz 5000`` does more of it."""

from __future__ import annotations

import http.client
import random
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.examples import examples
from tests.local_org.fuzz import DEEP, Bad, Fuzzer
from tests.local_org.org_witness import V, Witness


@settings(
    max_examples=examples(70), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(seed=st.integers(0, 2**32))
def test_nothing_that_is_sent_is_answered_500(fuzzer: Fuzzer, seed: int) -> None:
    bad, status = fuzzer.one(random.Random(seed))
    # A SOAP fault is 500 by its protocol.
    assert status < 500 or "/Soap/" in bad.path, bad


def test_what_the_fuzzer_sends_gets_through(org: LocalOrg) -> None:
    fuzzer, random_ = Fuzzer(org), random.Random(1)
    statuses = {fuzzer.one(random_)[1] for _ in range(300)}
    assert {200, 400, 404, 405, 415} <= statuses


@pytest.mark.parametrize(
    "path",
    [
        *(f"{V}/sobjects/Account", f"{V}/composite", f"{V}/jobs/ingest", f"{V}/jobs/query"),
        *("/services/async/66.0/job", "/services/async/66.0/job/{job}/batch", "/local-org/put"),
    ],
)
@pytest.mark.parametrize("body", [b'{"Name": "\\ud800"}', b"[" * DEEP, b'{"Name": NaN}', b"\xff"])
def test_json_that_cannot_be_read_is_refused_by_everything_that_reads_it(
    fuzzer: Fuzzer, path: str, body: bytes
) -> None:
    witness = Witness(fuzzer.org)
    token = witness.log_in()
    headers = {"Authorization": f"Bearer {token}", "X-SFDC-Session": token, "Content-Type": "application/json"}
    if "{job}" in path:
        made = b'{"operation": "insert", "object": "Account", "contentType": "JSON"}'
        assert fuzzer.send(Bad("POST", "/services/async/66.0/job", made, headers)) == 201
        path = path.replace("{job}", fuzzer.org.bulk1_jobs[-1].id)
    status = fuzzer.send(Bad("POST", path, body, headers))
    # A batch is looked at when it runs: it is taken, and fails.
    assert status == (201 if path.endswith("/batch") else 400)
    fuzzer.org.wait_until_idle()


@pytest.mark.parametrize("host", ["[::1", "[", "a:b:c", ""])
def test_a_host_that_is_none_is_refused(org: LocalOrg, host: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(org.url).netloc)
    connection.putrequest("GET", "/local-org", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()
