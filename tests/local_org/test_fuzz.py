"""No request makes the org answer 500, nor fail at its end. ``python -m tests.local_org.fuzz 5000`` does more of it."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.examples import examples
from tests.local_org.fuzz import Fuzzer


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
