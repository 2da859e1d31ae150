"""A strict local Salesforce, for tests, demos and development. Loopback only.

It is the independent peer of the client: it refuses what Salesforce refuses, and shares nothing with the client but
the numbers in ``limits``. Needs the extra ``airflow-provider-sfbulk[local-org]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_sfbulk.local_org.org import LocalOrg

__all__ = ["LocalOrg"]


def __getattr__(name: str) -> Any:
    """Import the org when it is asked for: the pytest plugin imports this package in every test run of every user."""
    if name != "LocalOrg":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from airflow_provider_sfbulk.local_org.org import LocalOrg  # noqa: PLC0415 - see above
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("airflow_provider_sfbulk"):
            raise
        raise ModuleNotFoundError(
            f"the local org needs {missing.name}: install airflow-provider-sfbulk[local-org]", name=missing.name
        ) from missing
    return LocalOrg
