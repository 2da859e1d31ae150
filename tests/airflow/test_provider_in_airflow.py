"""What Airflow's own listings, form and connection test make of this provider."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from airflow_provider_sfbulk.get_provider_info import get_provider_info
from tests.airflow.conftest import Stage

PACKAGE = "airflow-provider-sfbulk"


def test_the_api_lists_the_provider(stage: Stage) -> None:
    listed = stage.stack.call("GET", "/api/v2/providers?limit=100")["providers"]
    (ours,) = [each for each in listed if each["package_name"] == PACKAGE]
    assert ours["version"] == version(PACKAGE)
    # Airflow drops the full stop.
    assert ours["description"] == get_provider_info()["description"].removesuffix(".")


def test_the_command_lists_the_provider_and_its_modules(stage: Stage) -> None:
    (listed,) = json.loads(stage.stack.command("providers", "get", PACKAGE, "--full", "--output", "json"))
    for part in ("hooks.salesforce_bulk", "operators.ingest", "operators.query", "sensors.job", "triggers.job"):
        assert f"airflow_provider_sfbulk.{part}" in json.dumps(listed)


def test_the_form_has_every_field(stage: Stage) -> None:
    (ours,) = [
        each
        for each in stage.stack.call("GET", "/ui/connections/hook_meta")
        if each["connection_type"] == "salesforce_bulk"
    ]
    (declared,) = get_provider_info()["connection-types"]
    assert ours["hook_name"] == declared["hook-name"]
    assert ours["extra_fields"].keys() == declared["conn-fields"].keys()
    assert ours["standard_fields"]["host"]["title"] == declared["ui-field-behaviour"]["relabeling"]["host"]


def test_a_right_connection_passes_the_form_s_test(stage: Stage) -> None:
    answer = stage.stack.call("POST", "/api/v2/connections/test", _form(stage))
    assert answer["status"] is True, answer
    assert stage.org.url in answer["message"]
    assert "API calls left today" in answer["message"]


def test_a_wrong_secret_is_told_as_such(stage: Stage) -> None:
    wrong = "not-the-secret-0123456789"
    answer = stage.stack.call("POST", "/api/v2/connections/test", _form(stage, client_secret=wrong))
    assert answer["status"] is False
    assert "invalid_client" in answer["message"]
    assert wrong not in answer["message"]


def _form(stage: Stage, **extra: str) -> dict[str, Any]:
    """Give the org's connection as the form sends it."""
    connection = json.loads(stage.org.connection)
    connection["extra"] = json.dumps({**connection["extra"], **extra})
    return {"connection_id": "made_in_the_form", **connection}
