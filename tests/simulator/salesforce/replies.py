"""Replies in Salesforce's forms."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_sfbulk.client.effects import Reply

JSON = {"content-type": "application/json;charset=UTF-8"}


def ok(data: Any) -> Reply:
    """Make a 200 reply."""
    return Reply(200, JSON, json.dumps(data).encode())


def refused(status: int, code: str, message: str = "because") -> Reply:
    """Make an error reply."""
    return Reply(status, JSON, json.dumps([{"errorCode": code, "message": message}]).encode())


def other_version(version: str) -> Reply:
    """Refuse results to another API version than the job's."""
    return refused(409, "INVALIDVERSION", f"The job is of version {version}")
