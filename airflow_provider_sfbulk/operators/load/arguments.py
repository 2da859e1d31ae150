"""The arguments of ``BulkIngestOperator`` that a load goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.models import ConcurrencyMode
    from airflow_provider_sfbulk.files.paths import AnyPath


@dataclass(frozen=True, kw_only=True)
class LoadArguments:
    """What the operator was given, under its arguments' names."""

    sobject: str
    operation: str
    external_id_field: str | None
    assignment_rule_id: str | None
    mode: ConcurrencyMode | None
    part_bytes: int
    part_records: int
    max_concurrent_jobs: int
    staging_path: AnyPath | None
    staging_conn_id: str | None
    key_columns: Sequence[str]
    results_format: str
    spreadsheet_safe: bool
    max_failed_records: float | None
    retry_codes: Sequence[str]
    max_record_retries: int
    sort_by: str | None
    serial_fallback: bool
    sql: str | None
    metric_tags: Mapping[str, str]

    @classmethod
    def of(cls, operator: object) -> Self:
        """Read them from an operator whose templates are rendered."""
        return cls(**{each.name: getattr(operator, each.name) for each in fields(cls)})
