"""What Airflow shows and needs to know about this provider. Imports nothing: it runs in every Airflow process."""

from __future__ import annotations

from typing import Any

INTEGRATION = "Salesforce Bulk API"


def _text(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider, in the form that ``airflow providers`` reads."""
    return {
        "package-name": "airflow-provider-sfbulk",
        "name": INTEGRATION,
        "description": "Loads and extracts of any size with the Salesforce Bulk API, every row once.",
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules("hooks.salesforce_bulk")],
        "operators": [_modules("operators.ingest", "operators.query")],
        "sensors": [_modules("sensors.job")],
        "triggers": [_modules("triggers.job", "triggers.reserve")],
        "extra-links": ["airflow_provider_sfbulk.links.job.BulkJobLink"],
        "connection-types": [
            {
                "connection-type": "salesforce_bulk",
                "hook-class-name": "airflow_provider_sfbulk.hooks.salesforce_bulk.SalesforceBulkHook",
                "hook-name": INTEGRATION,
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port"],
                    "relabeling": {"host": "Login URL or My Domain URL", "login": "Username"},
                    "placeholders": {
                        "host": "https://login.salesforce.com",
                        "login": "loader@acme.example",
                        "password": "only for the password and soap_login flows",
                    },
                },
                "conn-fields": {
                    "auth_flow": _text(
                        "Way of login",
                        "Seen from the fields that are filled when left empty.",
                        enum=[
                            "jwt_bearer",
                            "client_credentials",
                            "refresh_token",
                            "password",
                            "soap_login",
                            "access_token",
                            None,
                        ],
                    ),
                    "client_id": _text("Client id", "Consumer key of the app in Salesforce."),
                    "client_secret": _text("Client secret", "Consumer secret of the app.", format="password"),
                    "private_key": _text(
                        "Private key",
                        "PEM text of the key whose certificate the app holds (jwt_bearer).",
                        format="password",
                    ),
                    "private_key_file": _text("Private key file", "Path of the PEM file, instead of its text."),
                    "audience": _text(
                        "Audience", "aud of the JWT; https://login.salesforce.com, or test for sandboxes, when empty."
                    ),
                    "refresh_token": _text("Refresh token", "For the refresh_token flow.", format="password"),
                    "security_token": _text(
                        "Security token",
                        "Added to the password unless the worker's address is trusted.",
                        format="password",
                    ),
                    "organization_id": _text("Organization id", "Of a portal user's org, for soap_login."),
                    "access_token": _text("Access token", "A ready session; it cannot be renewed.", format="password"),
                    "instance_url": _text("Instance URL", "Only with an access token: https://acme.my.salesforce.com"),
                    "api_version": _text("API version", "As 66.0.", pattern=r"^\d\d\.0$"),
                    "allowed_hosts": _text(
                        "Allowed hosts", "Hosts besides Salesforce's own that may get the token, separated by commas."
                    ),
                    "ca_file": _text("CA file", "Certificates to trust instead of the system's."),
                    "proxy": _text(
                        "Proxy", "http://proxy.example:3128, instead of the environment's.", format="password"
                    ),
                    "timeout": {
                        "label": "Timeout",
                        "description": "Seconds in which Salesforce must have answered, and be silent at most.",
                        "schema": {"type": ["number", "null"], "minimum": 1},
                    },
                },
            }
        ],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {
        "integration-name": INTEGRATION,
        "python-modules": [f"airflow_provider_sfbulk.{name}" for name in names],
    }
