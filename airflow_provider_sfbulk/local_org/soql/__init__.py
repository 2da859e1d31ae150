"""SOQL, for all APIs: text and schema in, SQLite's SQL and parameters out.

Read on in the order :mod:`.syntax` (what a query is), ``soql.lark`` and :mod:`.parse` (how it is written),
:mod:`.names` (what it speaks of), :mod:`.filters` (what it asks), :mod:`.columns` (what it wants), :mod:`.compile`.

Left out, and refused with words that say so: ``DISTANCE``, ``GROUP BY ROLLUP`` and ``CUBE``, currency literals
(``USD5000``), ``WITH``, and all scopes but ``everything`` and ``mine``.
"""

from __future__ import annotations

from airflow_provider_sfbulk.local_org.soql.compile import Column, CompiledQuery, compile_query
from airflow_provider_sfbulk.local_org.soql.errors import SoqlError
from airflow_provider_sfbulk.local_org.soql.functions import fold, register

__all__ = ["Column", "CompiledQuery", "SoqlError", "compile_query", "fold", "register"]
