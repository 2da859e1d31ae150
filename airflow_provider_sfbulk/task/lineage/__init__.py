"""Reports to OpenLineage what data went where.

OpenLineage asks an operator when its work is done and its client is closed. So the facts are gathered before, and only if
OpenLineage is in use: the types of the columns cost a describe call. Nothing of OpenLineage is imported where its provider
is not installed.

Datasets are named by the OpenLineage naming rules, with the place as ``namespace`` and the ``name`` of what is there: files
as ``s3://bucket`` and a key, or ``file`` and a path; objects as ``salesforce://<host>`` and the API name, by the same
pattern, since the rules do not mention Salesforce.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """A dataset, and what was read from it or written to it.

    :param columns: names with types; a type is None when unknown
    :param length: in bytes
    """

    namespace: str
    name: str
    columns: Sequence[tuple[str, str | None]] = ()
    records: int | None = None
    length: int | None = None
    files: int | None = None


@dataclass(frozen=True)
class Lineage:
    """The data that a task has moved.

    :param source: address of the org
    :param statement: the query, as its user wrote it: without the values that were bound into it
    :param facts: what else is reported about the run: counts, codes
    """

    source: str
    job_ids: Sequence[str]
    inputs: Sequence[Place] = ()
    outputs: Sequence[Place] = ()
    statement: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def is_wanted() -> bool:
    """Whether OpenLineage's provider is installed and sends its events somewhere."""
    try:
        from airflow.providers.openlineage.conf import is_disabled  # noqa: PLC0415 - not everybody has it
    except ImportError:
        return False
    try:
        return not is_disabled()
    except Exception as error:  # its configuration must not fail our task
        log.warning("OpenLineage's configuration cannot be read (%s)", type(error).__name__)
        return False


def object_place(instance_url: str, sobject: str, **facts: Any) -> Place:
    """Name an object of an org."""
    return Place(f"salesforce://{urlsplit(instance_url).netloc}", sobject, **facts)


def file_place(uri: str, **facts: Any) -> Place:
    """Name a file or folder, by its path or URI; a connection in the URI is left out."""
    # By hand: a key may hold "#" and "?".
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        return Place("file", str(Path(rest or uri).absolute()), **facts)
    host, _, path = rest.partition("/")
    return Place(f"{scheme}://{host.rpartition('@')[2]}", path.strip("/") or "/", **facts)


def field_types(describe: Mapping[str, Any], columns: Iterable[str]) -> list[tuple[str, str | None]]:
    """Return the columns of a load with the types of their fields; a parent's column has none."""
    types = {each["name"].casefold(): str(each["type"]) for each in describe["fields"]}
    return [(name, types.get(name.casefold())) for name in columns]


def to_openlineage(lineage: Lineage) -> OperatorLineage[Any, Any]:
    """Write the facts as OpenLineage's facets."""
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - as above
    from openlineage.client import facet_v2  # noqa: PLC0415
    from openlineage.client.event_v2 import InputDataset, OutputDataset  # noqa: PLC0415

    from airflow_provider_sfbulk.task.lineage.facet import SalesforceBulkRunFacet  # noqa: PLC0415

    def schema(place: Place) -> dict[str, Any]:
        if not place.columns:
            return {}
        fields = [facet_v2.schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in place.columns]
        return {"schema": facet_v2.schema_dataset.SchemaDatasetFacet(fields=fields)}

    def counts(place: Place) -> dict[str, Any]:
        return {"rowCount": place.records, "size": place.length, "fileCount": place.files}

    read = facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet
    written = facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    run_facets: dict[str, Any] = {
        "salesforceBulk": SalesforceBulkRunFacet(
            source=lineage.source, jobIds=list(lineage.job_ids), facts=dict(lineage.facts)
        )
    }
    if len(lineage.job_ids) == 1:
        run_facets["externalQuery"] = facet_v2.external_query_run.ExternalQueryRunFacet(
            externalQueryId=lineage.job_ids[0], source=lineage.source
        )
    return OperatorLineage(
        inputs=[
            InputDataset(
                place.namespace,
                place.name,
                facets=schema(place),
                inputFacets={"inputStatistics": read(**counts(place))},
            )
            for place in lineage.inputs
        ],
        outputs=[
            OutputDataset(
                place.namespace,
                place.name,
                facets=schema(place),
                outputFacets={"outputStatistics": written(**counts(place))},
            )
            for place in lineage.outputs
        ],
        run_facets=run_facets,
        job_facets={} if lineage.statement is None else {"sql": facet_v2.sql_job.SQLJobFacet(query=lineage.statement)},
    )
