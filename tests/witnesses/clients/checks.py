"""What the scripts beside this have in common. Nothing of the project: they run where only their client is installed."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

ORG: dict[str, Any] = json.loads(os.environ.get("LOCAL_ORG", "{}"))
"""The org's start line."""

_CHECKS: list[tuple[str, Callable[[], Any]]] = []


def check(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Make a function a check; it fails by raising. They run in the order in which they are written."""

    def add(function: Callable[[], Any]) -> Callable[[], Any]:
        _CHECKS.append((name, function))
        return function

    return add


def run() -> None:
    """Run the checks; print one line of JSON for each."""
    for name, function in _CHECKS:
        problem = ""
        try:
            function()
        except Exception as error:
            traceback.print_exc()
            problem = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        sys.stdout.write(json.dumps({"check": name, "error": problem}) + "\n")
        sys.stdout.flush()


def pull(lever: str, **arguments: Any) -> Any:
    """Ask the org for something that is not Salesforce's."""
    body = json.dumps(arguments).encode()
    request = Request(f"{ORG['url']}/local-org/{lever}", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer).get("result")


def stored(sobject: str) -> list[dict[str, Any]]:
    """Return what the org has of an object."""
    with urlopen(f"{ORG['url']}/local-org/records/{sobject}", timeout=30) as answer:
        return json.load(answer)


def token() -> str:
    """Log in by client credentials."""
    form = f"grant_type=client_credentials&client_id={ORG['client_id']}&client_secret={ORG['client_secret']}".encode()
    with urlopen(f"{ORG['url']}/services/oauth2/token", form, timeout=30) as answer:
        return str(json.load(answer)["access_token"])
