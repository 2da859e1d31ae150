"""airbyte-source-salesforce: its API object, its bulk and REST streams. It logs in at login.salesforce.com; led here."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

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


def read(kind):
    """Return the accounts that a stream reads."""
    from airbyte_cdk.models import SyncMode

    found = []
    for stream in (each for each in streams(kind) if each.name == "Account"):
        for piece in stream.stream_slices(sync_mode=SyncMode.full_refresh):
            rows = stream.read_records(sync_mode=SyncMode.full_refresh, stream_slice=piece)
            found += [each for each in rows if isinstance(each, Mapping)]  # among them are lines of its log
    return found


@check("bulk stream: reads every row")
def bulk():
    pull("put", sobject="Account", records=[{"Name": f"N{n}"} for n in range(120)])
    found = read("bulk")
    assert len(found) == 120, len(found)


@check("REST stream: reads every row, with its address")
def rest():
    pull("put", sobject="Account", records=[{"Name": f"M{n}", "BillingCity": "Ulm"} for n in range(2100)])
    found = [getattr(each, "data", each) for each in read("rest")]
    assert len(found) == 2220, len(found)
    assert sum((each["BillingAddress"] or {}).get("city") == "Ulm" for each in found) == 2100


COMMAND = """
import sys, requests
org, send = sys.argv.pop(), requests.Session.send
def here(self, request, **more):
    if "salesforce.com" in request.url:
        request.url = org + request.url.partition("salesforce.com")[2]
    return send(self, request, **more)
requests.Session.send = here
from source_salesforce.run import run
run()
"""


def command(*arguments):
    """Run the connector as Airbyte does, led here; return its messages."""
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments, ORG["url"]], capture_output=True, text=True, timeout=250, check=True
    )
    return [json.loads(line) for line in ended.stdout.splitlines()]


@check("check, discover; an incremental read goes on where the last one ended")
def incremental():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "config.json"
        config.write_text(json.dumps({**CONFIG, "force_use_bulk_api": True, "stream_slice_step": "P3000D"}))
        messages = command("check", "--config", str(config))
        (status,) = (each["connectionStatus"] for each in messages if "connectionStatus" in each)
        assert status["status"] == "SUCCEEDED", status
        messages = command("discover", "--config", str(config))
        (catalog,) = (each["catalog"] for each in messages if "catalog" in each)
        stream = next(each for each in catalog["streams"] if each["name"] == "Account")
        asked = {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append"}
        asked["cursor_field"] = ["SystemModstamp"]
        (folder / "catalog.json").write_text(json.dumps({"streams": [asked]}))
        where = ("--config", str(config), "--catalog", str(folder / "catalog.json"))
        pull("reset")
        pull("put", sobject="Account", records=[{"Name": "old", "SystemModstamp": "2026-01-01T00:00:00Z"}])
        first = command("read", *where)
        assert [each["record"]["data"]["Name"] for each in first if "record" in each] == ["old"]
        state = [each["state"] for each in first if "state" in each][-1]
        (folder / "state.json").write_text(json.dumps([state]))
        pull("put", sobject="Account", records=[{"Name": "new"}])
        second = command("read", *where, "--state", str(folder / "state.json"))
        assert [each["record"]["data"]["Name"] for each in second if "record" in each] == ["new"]


run()
pull("reset")
