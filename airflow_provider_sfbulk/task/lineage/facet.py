"""This package's own facet in OpenLineage's events. Imported only where OpenLineage is installed."""

from __future__ import annotations

from typing import Any

import attr
from openlineage.client.generated.base import RunFacet

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"


@attr.define
class SalesforceBulkRunFacet(RunFacet):
    """The Salesforce jobs of a task.

    :param source: address of the org
    :param facts: counts of records, failures by code
    """

    source: str = attr.field()
    jobIds: list[str] = attr.field()
    facts: dict[str, Any] = attr.field(factory=dict)

    @staticmethod
    def _get_schema() -> str:
        """Return the schema of every run facet; this one has no published schema."""
        return _SCHEMA
