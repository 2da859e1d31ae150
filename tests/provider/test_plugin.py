"""The plugin as Airflow's processes meet it; what the page does is tested on a real API server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from airflow_provider_sfbulk.plugin import PREFIX, SalesforceBulkPlugin

ROOT = Path(__file__).parents[2]


def test_its_addresses_hold_behind_a_base_path() -> None:
    for view in SalesforceBulkPlugin.external_views:
        assert view["href"].startswith(f"{PREFIX}/")
    routes = [view["url_route"] for view in SalesforceBulkPlugin.external_views]
    assert len(set(routes)) == len(routes)


def test_its_app_is_built_once_and_a_process_that_wants_none_pays_for_none() -> None:
    # In a process of its own: what Airflow's API server imports warns of deprecations, which are errors here.
    code = (
        "from airflow_provider_sfbulk.plugin import PREFIX, SalesforceBulkPlugin as Plugin; import sys; "
        "Plugin.external_views; "
        "assert not {'airflow_provider_sfbulk.plugin.app', 'airflow_provider_sfbulk.client'} & set(sys.modules); "
        "(first,), (second,) = Plugin.fastapi_apps, Plugin.fastapi_apps; "
        "assert first['app'] is second['app']; assert first['url_prefix'] == '/' + PREFIX"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
