"""What each error means: one table for REST, both Bulk APIs, OAuth and SOAP logins.

The class of an error decides what happens: a ``TransientError`` is temporary and is retried (how often:
``protocol/retry.py``), any other error is not. An error for which :func:`is_lasting` is true stays until a person
changes something: a retry of the task cannot help. The first row whose code matches, and whose words are in the message,
decides; if there is none, the HTTP status decides.

Sources: REST API guide, "Status Codes and Error Responses"; Bulk API guides, "Errors"; SOAP API guide, "ExceptionCode";
Salesforce help, "OAuth 2.0 flow errors"; wsc, ``AsyncExceptionCode`` (codes in mixed case are Bulk API 1.0's).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.errors import (
    EmptyInputError,
    InputChangedError,
    JobFailedError,
    LoginError,
    MissingSourceError,
    NotFoundError,
    ProtocolError,
    RequestLimitError,
    RequestRefusedError,
    ServerBusyError,
    SfBulkError,
    SourceError,
)


@dataclass(frozen=True)
class Row:
    """One kind of error.

    :param code: as Salesforce writes it
    :param kind: its class; None when the status decides
    :param advice: what to do
    :param words: that the message must contain, in lower case
    :param flow: only for this login method (``auth_flow``)
    """

    code: str
    kind: type[SfBulkError] | None
    advice: str = ""
    words: str = ""
    flow: str = ""


_BUSY: Final = "nothing is wrong with the request; try later"
_PERMISSION: Final = "the user lacks a permission for this"
_JOBS_END: Final = "jobs are deleted seven days after they end"

TABLE: Final[tuple[Row, ...]] = (
    # --- the session, and who may use the API
    Row("API_CURRENTLY_DISABLED", LoginError, "give the user the permission API Enabled", "for this user"),
    Row("API_CURRENTLY_DISABLED", LoginError, "this edition of Salesforce has no API", "for this org"),
    Row("API_CURRENTLY_DISABLED", ServerBusyError, "a system problem at Salesforce, says its guide; try later"),
    Row("API_DISABLED_FOR_ORG", LoginError, "the org's edition or the user's profile has no API: the permission is API "
        "Enabled"),
    Row("InvalidSessionId", LoginError),
    Row("InvalidUser", LoginError),
    Row("INVALID_AUTH_HEADER", LoginError),
    Row("INVALID_SESSION_ID", LoginError),
    Row("URL_NOT_RESET", LoginError, "instance_url must be the org's own host, not a login host"),
    # --- it passes by itself
    Row("EXCEEDEDQUOTA", RequestLimitError),
    Row("ExceededQuota", RequestLimitError),
    Row("LIMIT_EXCEEDED", RequestLimitError),
    Row("REQUEST_LIMIT_EXCEEDED", RequestLimitError),
    Row("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", ServerBusyError, _BUSY),
    Row("InternalServerError", ServerBusyError, _BUSY),
    Row("LOGIN_RATE_EXCEEDED", ServerBusyError, "too many logins of this user in an hour; try later"),
    Row("ORG_IN_MAINTENANCE", ServerBusyError, _BUSY),
    Row("QUERY_TIMEOUT", ServerBusyError, "narrow the query, or try later"),
    Row("SERVER_UNAVAILABLE", ServerBusyError, _BUSY),
    Row("Timeout", ServerBusyError, "send fewer records in a batch, or try later"),
    Row("TooManyLockFailure", ServerBusyError, _BUSY),
    Row("TXN_SECURITY_METERING_ERROR", ServerBusyError, _BUSY),
    Row("UNABLE_TO_LOCK_ROW", ServerBusyError, _BUSY),
    Row("UNKNOWN_EXCEPTION", ServerBusyError, _BUSY),
    Row("inactive_org", ServerBusyError, "the org is closed or in maintenance; try later"),
    Row("rate_limit_exceeded", ServerBusyError, _BUSY),
    Row("server_error", ServerBusyError, _BUSY),
    Row("temporarily_unavailable", ServerBusyError, _BUSY),
    Row("unknown_error", ServerBusyError, _BUSY),
    # --- the request
    Row("NOT_FOUND", NotFoundError),
    Row("FEATURENOTENABLED", RequestRefusedError, "the user or the org lacks a permission for this"),
    Row("FeatureNotEnabled", RequestRefusedError, "the user or the org lacks a permission for this"),
    Row("INSUFFICIENT_ACCESS", RequestRefusedError, _PERMISSION),
    Row("INVALIDENTITY", RequestRefusedError, "this object is not for the Bulk API"),
    Row("INVALID_FIELD", RequestRefusedError, "check the names, and that the user may see the fields"),
    Row("INVALID_TYPE", RequestRefusedError, "check the object's API name, and that the user may see it"),
    Row("InvalidEntity", RequestRefusedError, "check the object's API name, and that the user may see it"),
    Row("InvalidVersion", RequestRefusedError, "check api_version"),
    Row("MALFORMED_QUERY", RequestRefusedError, "correct the SOQL"),
    Row("UNSUPPORTED_API_VERSION", LoginError, "this server has no SOAP login() any more: use jwt_bearer or "
        "client_credentials", flow="soap_login"),
    Row("ClientInputError", None, "correct what was sent"),
    Row("InvalidJob", None, f"check the job's fields; {_JOBS_END}"),
    Row("UnsupportedContentType", None, "the batch must have its job's content type"),
    # --- OAuth logins
    Row("invalid_grant", LoginError, "ask an administrator to pre-authorize the user for the app, or check that host and "
        "audience belong to the user's org", "approved this consumer"),
    Row("invalid_grant", LoginError, "set audience to https://test.salesforce.com for a sandbox, else to "
        "https://login.salesforce.com", "audience"),
    Row("invalid_grant", LoginError, "check that private_key belongs to the app's certificate and this machine's clock "
        "is right", "assertion"),
    Row("invalid_grant", LoginError, "the user is inactive in Salesforce", "inactive user"),
    Row("invalid_grant", LoginError, "set host to the org's My Domain", "this domain"),
    Row("invalid_grant", LoginError, "enable the client credentials flow of the app and give it a user",
        "client credentials"),
    Row("invalid_grant", LoginError, "the refresh token is dead: put a new one into the connection", "expired access"),
    Row("invalid_grant", LoginError, "check login, password and security_token; orgs made since Summer '23 block this "
        "login method until Setup allows it", flow="password"),
    Row("invalid_grant", LoginError, "the refresh token is dead: put a new one into the connection",
        flow="refresh_token"),
    Row("invalid_grant", LoginError, "check client_id, login and host, and that the user may use the app",
        flow="jwt_bearer"),
    Row("invalid_grant", LoginError, "enable the client credentials flow of the app, give it a user that may log in, "
        "and check host", flow="client_credentials"),
    Row("invalid_app_access", LoginError, "ask an administrator to approve the user for the app"),
    Row("invalid_client_id", LoginError, "check client_id; it takes some minutes until a new app is known everywhere"),
    Row("invalid_client", LoginError, "check client_id, and that private_key belongs to the app's certificate",
        flow="jwt_bearer"),
    Row("invalid_client", LoginError, "check client_id and client_secret"),
    Row("invalid_assertion", LoginError, "check that private_key belongs to the app's certificate", flow="jwt_bearer"),
    Row("unsupported_grant_type", LoginError, "check host, and that the app allows this login method"),
    # --- SOAP logins
    Row("INVALID_LOGIN", LoginError, "check login, password and security_token, and that host is right (test for a "
        "sandbox); a user with multi-factor authentication or locked out gets the same answer"),
    Row("LOGIN_MUST_USE_SECURITY_TOKEN", LoginError, "fill in security_token, or ask an administrator to trust the "
        "worker's address"),
    Row("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", LoginError, "give the user a new password, which changes the "
        "security token, too"),
    Row("PASSWORD_LOCKOUT", LoginError, "the user is locked out: an administrator can unlock them"),
    Row("LOGIN_DURING_RESTRICTED_DOMAIN", LoginError, "the user may not log in from this address or at this host"),
    Row("LOGIN_DURING_RESTRICTED_TIME", LoginError, "the user may not log in at this time of day"),
    Row("INVALID_OPERATION", LoginError, "if SOAP login() is switched off in the org, use jwt_bearer or "
        "client_credentials instead", flow="soap_login"),
    Row("INVALID_SSO_GATEWAY_URL", LoginError, "the user signs in elsewhere (single sign-on): use jwt_bearer or "
        "client_credentials"),
    Row("ORG_LOCKED", LoginError, "the org is locked: ask Salesforce"),
    Row("TRIAL_EXPIRED", LoginError, "the org's trial is over"),
)  # fmt: skip

BY_STATUS: Final[Mapping[int, type[SfBulkError]]] = {
    401: LoginError,
    404: NotFoundError,
    406: ServerBusyError,
    408: ServerBusyError,
    420: ServerBusyError,
    429: ServerBusyError,
}
"""Other 5xx are :class:`ServerBusyError`, other 4xx and 3xx :class:`RequestRefusedError`."""

_ADVICE_BY_STATUS: Final[Mapping[int, str]] = {
    401: "the session is refused, and a new one would be, too: check the app's scopes and the user's IP ranges",
    403: _PERMISSION,
    409: "a job must be read with the api_version it was created with",
    410: "Salesforce has retired this; check api_version",
    413: "send less in one request",
}
_REDIRECT: Final = "redirects are not followed with a token; set host (or instance_url) to the org's My Domain"

LOGIN_PATHS: Final = ("/services/oauth2/token", "/services/Soap/")
"""Beginnings of the paths of logins, which have their own tries: they must stay few."""


def row_of(code: str, message: str, flow: str = "") -> Row | None:
    """Return the row of an error.

    :param flow: login method that was refused; empty for other calls
    """
    text = message.lower()
    for row in TABLE:
        if row.code == code and row.words in text and row.flow in ("", flow):
            return row
    return None


def kind_of(status: int, errors: Iterable[tuple[str, str]]) -> type[SfBulkError]:
    """Return the class of a refusal: by the first known code, else by its status.

    :param errors: code and message of each error in the reply
    """
    for code, message in errors:
        row = row_of(code, message)
        if row is not None and row.kind is not None:
            return row.kind
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status >= 500:
        return ServerBusyError
    return RequestRefusedError if status >= 300 else ProtocolError


def login_kind_of(status: int, code: str, message: str, flow: str) -> type[SfBulkError]:
    """Return the class of a refused login: everything that does not pass by itself is a ``LoginError``.

    A SOAP fault is always HTTP 500, so only its code decides.
    """
    row = row_of(code, message, flow)
    kind = row.kind if row is not None and row.kind is not None else None
    if kind is None:
        kind = kind_of(400 if code and status == 500 and flow == "soap_login" else status, ())
    return kind if issubclass(kind, (ServerBusyError, RequestLimitError)) else LoginError


def advice_of(status: int, code: str, message: str, kind: type[SfBulkError], path: str, job_id: str | None) -> str:
    """Return what to do about a call that was refused; may be empty."""
    if 300 <= status < 400:
        return _REDIRECT
    row = row_of(code, message)
    if kind is NotFoundError:
        return _not_found(path, job_id)
    if row is not None and row.advice:
        return row.advice
    if kind is ServerBusyError:
        return _BUSY
    # A code explains more than the status, whose advice is for replies with an unknown code.
    return _ADVICE_BY_STATUS.get(status, "")


def _not_found(path: str, job_id: str | None) -> str:
    if job_id is not None:
        return f"{_JOBS_END}; a job is also found only with the login's own org and Bulk API"
    version = next((part for part in path.split("/") if part.strip("v").replace(".", "").isdigit()), "")
    if version and path.partition(version)[2].startswith(("/jobs", "/limits", "/job")):
        return f"this org does not seem to have API version {version.strip('v')}: check api_version"
    return "check the object's API name and that the user may see it, and api_version"


def is_lasting(error: BaseException) -> bool:
    """Whether a retry of the task would fail in the same way: a person has to change something first.

    An error of a job that a retry would adopt is not lasting, nor is input that could not be read just now.
    """
    if isinstance(error, SourceError):
        return not isinstance(error, (MissingSourceError, EmptyInputError))
    if isinstance(error, (RequestRefusedError, JobFailedError)):
        row = row_of(error.error_code or "", str(error))
        is_known = row is not None and row.kind is RequestRefusedError
        return is_known or (isinstance(error, RequestRefusedError) and error.job_id is None)
    return isinstance(error, (LoginError, InputChangedError))
