"""A running org, and the witness that looks at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.fuzz import Fuzzer
from tests.local_org.org_witness import Witness


@pytest.fixture
def org() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        yield running


@pytest.fixture
def witness(org: LocalOrg) -> Witness:
    return Witness(org)


@pytest.fixture
def fuzzer(org: LocalOrg) -> Fuzzer:
    return Fuzzer(org)
