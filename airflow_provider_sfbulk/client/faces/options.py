"""Keyword arguments that calls pass on, by name and type, so that editors and type checkers see them behind ``**options``.

They are described where they are used: ``Settings``, ``Rules``, ``IngestSpec``, ``Bulk1JobSpec``, and ``perform`` of
``client.ingest`` and ``client.query``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import PurePath

    from airflow_provider_sfbulk.client.arguments import Seconds
    from airflow_provider_sfbulk.client.bulk1.calls import PkChunking
    from airflow_provider_sfbulk.client.bulk1.models import ContentType
    from airflow_provider_sfbulk.client.models import ColumnDelimiter, ConcurrencyMode, LineEnding
    from airflow_provider_sfbulk.client.parts.stream import BlankIds, Nulls
    from airflow_provider_sfbulk.client.settings import AuthFlow
    from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.client.waiting.wait import OnProgress


class ConnectionOptions(TypedDict, total=False):
    """The keys of a connection; see ``Settings``."""

    host: str | None
    login: str | None
    password: str | None
    auth_flow: AuthFlow | str | None
    client_id: str | None
    client_secret: str | None
    private_key: str | None
    private_key_file: str | PurePath | None
    audience: str | None
    refresh_token: str | None
    security_token: str | None
    organization_id: str | None
    access_token: str | None
    instance_url: str | None
    api_version: str | float | None
    allowed_hosts: str | Sequence[str] | None
    ca_file: str | PurePath | None
    proxy: str | None
    timeout: Seconds | str | None


class DialectOptions(TypedDict, total=False):
    """How a job's CSV is written."""

    column_delimiter: ColumnDelimiter | str
    line_ending: LineEnding | str


class JobOptions(DialectOptions, total=False):
    """Options of a new ingest job; see ``IngestSpec``."""

    external_id_field: str | None
    assignment_rule_id: str | None


class Bulk1JobOptions(TypedDict, total=False):
    """Options of a new job of Bulk API 1.0; see ``Bulk1JobSpec``."""

    external_id_field: str | None
    assignment_rule_id: str | None
    content_type: ContentType | str
    concurrency_mode: ConcurrencyMode | str
    pk_chunking: PkChunking | None
    batch_retry: bool
    line_ending: LineEnding | str | None


class RuleOptions(TypedDict, total=False):
    """How rows become Salesforce's columns; see ``Rules``."""

    column_mapping: Mapping[str, str | None] | None
    nulls: Nulls | Mapping[str, Nulls]
    timezone: str | tzinfo | None
    columns: Sequence[str] | None
    blank_external_ids: BlankIds
    column_delimiter: ColumnDelimiter | None
    line_ending: LineEnding | None


class LoadOptions(RuleOptions, total=False):
    """Options of a whole load; see ``client.ingest.perform``."""

    assignment_rule_id: str | None
    source_format: str | None
    wait: bool
    timeout: Seconds | None
    on_progress: OnProgress | None
    schedule: Schedule
    part_bytes: int
    part_records: int
    max_concurrent_jobs: int
    skip_unchanged: bool


class HookLoadOptions(LoadOptions, total=False):
    """Options of a whole load with the hook."""

    fail_on_failed_jobs: bool


class QueryOptions(DialectOptions, total=False):
    """Options of a whole query; see ``client.query.perform``."""

    timeout: Seconds | None
    on_progress: OnProgress | None
    schedule: Schedule
    page_records: int
