"""The plugin as Airflow's processes meet it; what the page does is tested on a real API server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from airflow_provider_sfbulk.plugin import PREFIX, SalesforceBulkPlugin

ROOT = Path(__file__).parents[2]


def test_a_task_process_that_loads_it_pays_for_no_app() -> None:
    code = (
        "from airflow_provider_sfbulk.plugin import SalesforceBulkPlugin; import sys; "
        "SalesforceBulkPlugin.external_views; "
        "assert not {'airflow_provider_sfbulk.plugin.app', 'airflow_provider_sfbulk.client'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_its_addresses_hold_behind_a_base_path() -> None:
    for view in SalesforceBulkPlugin.external_views:
        assert view["href"].startswith(f"{PREFIX}/")
    routes = [view["url_route"] for view in SalesforceBulkPlugin.external_views]
    assert len(set(routes)) == len(routes)


def test_the_app_is_built_once() -> None:
    # In a process of its own: what Airflow's API server imports warns of deprecations, which are errors here.
    code = (
        "from airflow_provider_sfbulk.plugin import PREFIX, SalesforceBulkPlugin as Plugin; "
        "(first,), (second,) = Plugin.fastapi_apps, Plugin.fastapi_apps; "
        "assert first['app'] is second['app']; assert first['url_prefix'] == '/' + PREFIX"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
