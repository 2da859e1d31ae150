"""What Airflow shows and needs to know about this provider. Imports nothing: it runs in every Airflow process."""

from __future__ import annotations

from typing import Any

INTEGRATION = "Salesforce Bulk API"


def _text(section: str, label: str, description: str, **schema: Any) -> dict[str, Any]:
    typed = {"type": ["string", "null"], "section": section, **schema}
    return {"label": label, "description": description, "schema": typed}


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
        "triggers": [_modules("triggers.change", "triggers.job", "triggers.reserve")],
        # No "plugins": Airflow finds ours by its entry point, also with [core] lazy_discover_providers, and would report it
        # as registered twice (3.3.2).
        "extra-links": ["airflow_provider_sfbulk.links.job.BulkJobLink"],
        "asset-uris": [
            {
                "schemes": ["salesforce"],
                "handler": None,  # any URI is as it should be: a check would break DAGs that name assets so already
                "factory": "airflow_provider_sfbulk.assets.create_asset",
                "to_openlineage_converter": "airflow_provider_sfbulk.assets.convert_asset_to_openlineage",
            }
        ],
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
                        "password": "only for the flows password and soap_login",
                    },
                },
                "conn-fields": _fields(),
            }
        ],
    }


def _fields() -> dict[str, Any]:
    """Describe the form's fields that are stored in the extra: by login method, in the order of use."""
    app, jwt, credentials = "App in Salesforce", "JWT bearer", "Client credentials"
    refresh, password = "Refresh token", "Password, SOAP login"
    token, network = "Access token", "API and network"
    keys = "Setup > External Client App Manager > the app > Settings > OAuth Settings > Consumer Key and Secret."
    return {
        "auth_flow": _text(
            app,
            "Way of login",
            "Leave empty: it follows from the fields that are filled. Recommended: jwt_bearer.",
            enum=["jwt_bearer", "client_credentials", "refresh_token", "password", "soap_login", "access_token"],
        ),
        "client_id": _text(app, "Client id", f"The app's consumer key, for every flow but soap_login. {keys}"),
        "private_key": _text(
            jwt,
            "Private key",
            "PEM text of the key whose certificate is uploaded to the app: Setup > External Client App Manager > the app > "
            "Settings > Flow Enablement > Enable JWT Bearer Flow. Username is needed, too.",
            format="password",
        ),
        "private_key_file": _text(jwt, "Private key file", "Path of the PEM file on the worker, instead of its text."),
        "audience": _text(
            jwt,
            "Audience",
            "Rarely needed. Empty: https://login.salesforce.com, or https://test.salesforce.com for a sandbox.",
        ),
        "client_secret": _text(
            credentials,
            "Client secret",
            f"The app's consumer secret. {keys} The flow needs the My Domain URL above (Setup > My Domain).",
            format="password",
        ),
        "refresh_token": _text(
            refresh, "Refresh token", "From a login that a person approved once for this app.", format="password"
        ),
        "security_token": _text(
            password,
            "Security token",
            "Salesforce sends it by e-mail: the user's picture > Settings > Reset My Security Token. Not needed where the "
            "worker's address is trusted (Setup > Network Access).",
            format="password",
        ),
        "organization_id": _text(
            password, "Organization id", "Of a portal user's org, for soap_login. Setup > Company Information."
        ),
        "access_token": _text(token, "Access token", "An existing session; it cannot be renewed.", format="password"),
        "instance_url": _text(
            token, "Instance URL", "The host of that session: https://acme.my.salesforce.com (Setup > My Domain)."
        ),
        "api_version": _text(
            network, "API version", "For example 66.0. Empty: this package's default.", pattern=r"^\d\d\.0$"
        ),
        "timeout": {
            "label": "Timeout",
            "description": "Seconds of silence that one call may take. Empty: 120.",
            "schema": {"type": ["number", "null"], "minimum": 1, "section": network},
        },
        "proxy": _text(
            network,
            "Proxy",
            "http://proxy.example:3128. Empty: HTTPS_PROXY of the worker's environment.",
            format="password",
        ),
        "ca_file": _text(
            network, "CA file", "Path of the certificates to trust. Empty: the system's, or REQUESTS_CA_BUNDLE."
        ),
        "allowed_hosts": _text(
            network,
            "Allowed hosts",
            "Hosts besides Salesforce's own that may receive the token, separated by commas. Almost always empty.",
        ),
    }


def _modules(*names: str) -> dict[str, Any]:
    return {
        "integration-name": INTEGRATION,
        "python-modules": [f"airflow_provider_sfbulk.{name}" for name in names],
    }
