"""What Airflow is told of this provider: valid, and every name in it leads somewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.providers.openlineage.utils.utils import translate_airflow_asset
from airflow.sdk import Asset, BaseHook, BaseOperatorLink

from airflow_provider_sfbulk.assets import create_asset
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.settings import AuthFlow, Settings
from airflow_provider_sfbulk.get_provider_info import get_provider_info
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.task.lineage import object_place

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INFO = get_provider_info()
(CONNECTION,) = INFO["connection-types"]
ALWAYS_THERE = {"host", "login", "password"}
"""Settings that have a column of their own in every Airflow connection."""


def dotted() -> Iterator[str]:
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in INFO[kind]:
            yield from entry["python-modules"]


def loaded(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def test_it_is_what_airflow_expects() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(INFO, schema)


@pytest.mark.parametrize("module", sorted(dotted()))
def test_every_module_can_be_imported(module: str) -> None:
    import_module(module)


def test_every_module_of_hooks_operators_sensors_and_triggers_with_a_class_for_users_is_listed() -> None:
    assert set(dotted()) == {
        "airflow_provider_sfbulk.hooks.salesforce_bulk",
        "airflow_provider_sfbulk.operators.ingest",
        "airflow_provider_sfbulk.operators.query",
        "airflow_provider_sfbulk.sensors.job",
        "airflow_provider_sfbulk.triggers.change",
        "airflow_provider_sfbulk.triggers.job",
        "airflow_provider_sfbulk.triggers.reserve",
    }


def test_the_links_are_links() -> None:
    assert all(issubclass(loaded(path), BaseOperatorLink) for path in INFO["extra-links"])


def test_an_asset_of_an_object_is_the_dataset_that_the_operators_report() -> None:
    asset = create_asset(host="acme.my.salesforce.com", sobject="Account")
    assert asset.uri == "salesforce://acme.my.salesforce.com/Account"
    place = object_place("https://acme.my.salesforce.com", "Account")
    dataset = translate_airflow_asset(asset, None)
    assert dataset is not None
    assert (dataset.namespace, dataset.name) == (place.namespace, place.name)


@pytest.mark.parametrize(
    ("host", "sobject"),
    [
        (None, "Account"),
        ("", "Account"),
        ("acme/x", "Account"),
        ("user:password@acme", "Account"),
        ("acme?x", "Account"),
        ("[x", "Account"),
        ("a b", "Account"),
        ("acme", None),
        ("acme", "Account/Name"),
        ("acme", "Account?x"),
        ("acme", ""),
    ],
)
def test_an_asset_of_no_object_or_no_host_is_refused(host: Any, sobject: Any) -> None:
    with pytest.raises(SourceError, match=r"(host|sobject) must be") as caught:
        create_asset(host=host, sobject=sobject)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "salesforce://acme",
        "salesforce:///Account",
        "salesforce://acme/Account/Name",
        "salesforce://acme/..",
        "salesforce://acme/\u202eAccount",
        "salesforce://acme/A%0Ab",
    ],
)
def test_an_asset_that_names_no_object_is_an_asset_without_a_dataset(uri: str) -> None:
    assert translate_airflow_asset(Asset(uri=uri), None) is None


def test_the_connection_type_and_its_hook_agree() -> None:
    hook = loaded(CONNECTION["hook-class-name"])
    assert hook is SalesforceBulkHook
    assert issubclass(hook, BaseHook)
    assert hook.conn_type == CONNECTION["connection-type"] == "salesforce_bulk"
    assert hook.hook_name == CONNECTION["hook-name"]


def test_the_form_has_a_field_for_every_setting_and_no_other() -> None:
    assert set(CONNECTION["conn-fields"]) == {each.name for each in fields(Settings)} - ALWAYS_THERE


def test_the_form_offers_every_way_of_login() -> None:
    offered = CONNECTION["conn-fields"]["auth_flow"]["schema"]["enum"]
    assert set(offered) == set(map(str, AuthFlow))  # no None: Airflow's form would show the word "null"


def test_the_fields_are_grouped_and_each_says_what_it_is() -> None:
    sections = [field["schema"]["section"] for field in CONNECTION["conn-fields"].values()]
    assert sorted(sections, key=sections.index) == sections  # a section's fields stand together
    assert all(len(field["description"]) > 20 for field in CONNECTION["conn-fields"].values())


def test_secret_fields_are_shown_as_dots() -> None:
    hidden = {name for name, field in CONNECTION["conn-fields"].items() if field["schema"].get("format") == "password"}
    assert hidden == {"client_secret", "private_key", "refresh_token", "security_token", "access_token", "proxy"}


def test_the_package_is_named_as_it_is_installed() -> None:
    assert INFO["package-name"] == PROJECT["name"]


def test_every_entry_point_leads_somewhere() -> None:
    groups = PROJECT["entry-points"]
    assert groups["apache_airflow_provider"] == {
        "provider_info": "airflow_provider_sfbulk.get_provider_info:get_provider_info"
    }
    for targets in (*groups.values(), PROJECT["scripts"]):
        for target in targets.values():
            module, _, name = target.partition(":")
            found = import_module(module)
            assert not name or callable(getattr(found, name))


def test_reading_it_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import airflow_provider_sfbulk.get_provider_info as info; "
        "info.get_provider_info(); print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    modules = {name.partition(".")[0] for name in done.stdout.split()}
    assert modules <= {"airflow_provider_sfbulk", "__future__", *sys.stdlib_module_names}
