"""Assets for objects of an org, ``salesforce://acme.my.salesforce.com/Account``, for Airflow and for OpenLineage.

The URI has the parts of the dataset that the operators report to OpenLineage (``task/lineage``), so an asset in a task's
``inlets`` or ``outlets`` and the operator's own report name the same dataset.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from airflow.sdk import Asset

from airflow_provider_sfbulk.client.arguments import api_name, is_api_name
from airflow_provider_sfbulk.client.errors import SourceError

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset

_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?")


def create_asset(*, host: str, sobject: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an object.

    :param host: the org's My Domain host
    :raises SourceError: the host or the object's name is malformed
    """
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise SourceError("host must be the org's My Domain host only, such as acme.my.salesforce.com")
    api_name("sobject", sobject)
    return Asset(uri=f"salesforce://{host}/{sobject}", extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset | None:  # noqa: ARG001 - Airflow's
    """Return the dataset of an asset; None for a URI without an object, which Airflow then leaves out."""
    from openlineage.client.event_v2 import Dataset  # noqa: PLC0415 - not everybody has it

    parts = urlsplit(asset.uri)
    sobject = parts.path.strip("/")
    if not _HOST.fullmatch(parts.netloc) or not is_api_name(sobject):
        return None
    return Dataset(namespace=f"salesforce://{parts.netloc}", name=sobject)
