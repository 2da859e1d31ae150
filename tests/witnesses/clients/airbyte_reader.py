"""airbyte-source-salesforce: its API object, its bulk and REST streams. It logs in at login.salesforce.com; led here."""

from collections.abc import Mapping

import requests
from checks import ORG, check, pull, run

SEND = requests.Session.send


def here(self, request, **more):
    if "salesforce.com" in request.url:
        request.url = ORG["url"] + request.url.partition("salesforce.com")[2]
    return SEND(self, request, **more)


requests.Session.send = here

from source_salesforce.api import Salesforce  # noqa: E402
from source_salesforce.source import SourceSalesforce  # noqa: E402

CONFIG = {
    "client_id": ORG["client_id"],
    "client_secret": ORG["client_secret"],
    "refresh_token": ORG["refresh_token"],
    "start_date": "2020-01-01T00:00:00Z",
    "auth_type": "Client",
    "lookback_window": "PT10M",
}


def streams(kind):
    from airbyte_cdk.models import ConfiguredAirbyteCatalog

    source = SourceSalesforce(ConfiguredAirbyteCatalog(streams=[]), dict(CONFIG), None)
    api = Salesforce(**CONFIG)
    api.login()
    objects = {"Account": {"name": "Account", "queryable": True}}
    found = source.generate_streams({**CONFIG, "force_use_bulk_api": kind == "bulk"}, objects, api)
    return [getattr(each, "_legacy_stream", getattr(each, "_stream", each)) for each in found]


@check("sign in, describe")
def sign_in():
    api = Salesforce(**CONFIG)
    api.login()
    assert api.describe("Account")["name"] == "Account"
    assert "Name" in api.generate_schema("Account", {"name": "Account"})["properties"]


@check("bulk stream: reads every row")
def bulk():
    pull("put", sobject="Account", records=[{"Name": f"N{n}"} for n in range(120)])
    from airbyte_cdk.models import SyncMode

    count = 0
    for stream in (each for each in streams("bulk") if each.name == "Account"):
        for piece in stream.stream_slices(sync_mode=SyncMode.full_refresh):
            read = stream.read_records(sync_mode=SyncMode.full_refresh, stream_slice=piece)
            count += sum(isinstance(each, Mapping) for each in read)  # among them are lines of its log
    assert count == 120, count


run()
pull("reset")
