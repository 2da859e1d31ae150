"""Assets that are objects of an org, ``salesforce://acme.my.salesforce.com/Account``, for Airflow and for OpenLineage.

The URI has the parts of the dataset that the operators report to OpenLineage (``task/lineage.py``), so an asset among a
task's ``inlets`` or ``outlets`` and the operator's own report name the same dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import Asset

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset


def create_asset(*, host: str, sobject: str, extra: dict[str, Any] | None = None) -> Asset:
    """Give the asset of an object.

    :param host: the org's My Domain host
    """
    return Asset(uri=f"salesforce://{host}/{sobject}", extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset | None:  # noqa: ARG001 - Airflow's
    """Give the dataset of an asset; none for a URI that names no object, which Airflow then leaves out."""
    from openlineage.client.event_v2 import Dataset  # noqa: PLC0415 - not everybody has it

    parts = urlsplit(asset.uri)
    sobject = parts.path.strip("/")
    if not parts.netloc or not sobject or "/" in sobject:
        return None
    return Dataset(namespace=f"salesforce://{parts.netloc}", name=sobject)
