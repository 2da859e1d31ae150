"""A running org, and the witness of its REST API."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.rest.rest_witness import RestWitness


@pytest.fixture
def rest(org: LocalOrg) -> RestWitness:
    return RestWitness(org)
