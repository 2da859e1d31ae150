"""Faults on request: calls, jobs, rows and locks."""

from __future__ import annotations

from airflow_provider_sfbulk.local_org.faults.calls import Dropped, Exchange, Fault, Faults

__all__ = ["Dropped", "Exchange", "Fault", "Faults"]
