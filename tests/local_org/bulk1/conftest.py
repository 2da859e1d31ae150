"""A running org, and the witness of its Bulk API 1.0."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.bulk1.async_witness import AsyncWitness


@pytest.fixture
def bulk(org: LocalOrg) -> AsyncWitness:
    return AsyncWitness(org)
