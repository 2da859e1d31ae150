"""SOAP ``login()``: user name and password with the security token glued to it, for a session.

The partner (``/services/Soap/u/…``) and the enterprise (``/services/Soap/c/…``) API; nothing else of them. Faults are HTTP
500. "``login()`` does not exist in API 65.0 and later … it is off by default in new orgs".

Sources: *SOAP API Developer Guide*, "login()" and its sample messages; Spring '26 release notes for the end of it.
"""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.http import xml
from airflow_provider_sfbulk.local_org.http.incoming import Incoming

ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
CONTENT_TYPE: Final = "text/xml; charset=UTF-8"
APIS: Final = {"u": "partner", "c": "enterprise"}

_BODY_BYTES: Final = 64 * 1024
"""What a login may have; ours."""

_WRONG: Final = "Invalid username, password, security token; or user locked out."
_NO_TOKEN: Final = (
    f"{_WRONG} Are you at a new location? When accessing Salesforce--either via a desktop client or the API--from outside "
    "of your company's trusted networks, you must add a security token to your password to log in. To get your new "
    "security token, log in to Salesforce. From your personal settings, enter Reset My Security Token in the Quick Find "
    "box, then select Reset My Security Token."
)


class SoapFault(Exception):
    """A call that is refused.

    :param code: with a prefix for what is wrong with the message itself (``soapenv:Client``), without for what
        Salesforce says (``INVALID_LOGIN``)
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def response(self, api: str) -> Response:
        """Return the answer that says so.

        :param api: ``partner`` or ``enterprise``
        """
        if ":" in self.code:
            code, text, detail = self.code, self.message, ""
        else:
            code, text = f"sf:{self.code}", f"{self.code}: {self.message}"
            kind = "LoginFault" if self.code != "UNSUPPORTED_API_VERSION" else "UnexpectedErrorFault"
            inner = xml.element("sf:exceptionCode", self.code)
            inner += xml.element("sf:exceptionMessage", self.message)
            detail = f'<detail><sf:{kind} xsi:type="sf:{kind}">{inner}</sf:{kind}></detail>'
        fault = xml.element("faultcode", code) + xml.element("faultstring", text) + detail
        return _envelope(
            f"<soapenv:Fault>{fault}</soapenv:Fault>", f'xmlns:sf="urn:fault.{api}.soap.sforce.com"', status=500
        )


async def call(call: Incoming) -> Response:
    """``POST /services/Soap/u/XX.0``: login, the one operation there is here."""
    api = APIS[call.request.url.path.split("/")[3]]
    try:
        return _login(call.core, await _operation(call, api), api, call.parts["soap_version"])
    except SoapFault as fault:
        return fault.response(api)


async def _operation(call: Incoming, api: str) -> Element:
    """Return the element that says what is wanted."""
    if call.media_type != "text/xml":
        raise SoapFault("soapenv:Client", f"content type {call.media_type or 'is missing'}, text/xml is expected")
    if "soapaction" not in call.request.headers:
        # "Any non-empty value works"; that none does not is the SOAP rule, and the text is the one commonly reported.
        raise SoapFault("soapenv:Client", "SOAPAction HTTP header missing")
    body = bytearray()
    async for chunk in call.request.stream():
        if len(body) <= _BODY_BYTES:
            body += chunk
    if len(body) > _BODY_BYTES:
        raise SoapFault("soapenv:Client", f"the local org reads SOAP messages of at most {_BODY_BYTES} bytes")
    try:
        envelope = xml.parse(bytes(body))
    except xml.MalformedXmlError as error:
        raise SoapFault("soapenv:Client", f"Unable to parse the message: {error}") from error
    content = envelope.find(f"{{{ENVELOPE}}}Body")
    if envelope.tag != f"{{{ENVELOPE}}}Envelope" or content is None or len(content) != 1:
        raise SoapFault("soapenv:Client", "the message is not a SOAP envelope with one operation in its body")
    operation = content[0]
    if operation.tag != f"{{urn:{api}.soap.sforce.com}}login":
        # As the server words it, for operations that it really does not have.
        message = f"No operation available for request {operation.tag}, please check the WSDL for the service."
        raise SoapFault("soapenv:Client", message)
    return operation


def _login(core: Core, operation: Element, api: str, version: str) -> Response:
    number = float(version)
    newest = limits.NEWEST_SOAP_LOGIN_API_VERSION
    if not float(limits.OLDEST_LIVE_API_VERSION) <= number <= float(newest) or not number.is_integer():
        # That it does not exist there is documented; code and words of the answer are not certain.
        message = f"login() does not exist in API version {version}: {newest} is the newest with it"
        raise SoapFault("UNSUPPORTED_API_VERSION", message)
    if not core.soap_login:
        raise SoapFault("INVALID_OPERATION", "SOAP API login() is disabled by default in this org.")
    given = {xml.local_name(each): each.text or "" for each in operation}
    username, password = given.get("username", ""), given.get("password", "")
    if not core.password_is(username, password):
        if not core.password_is(username, password + core.credentials.security_token):
            raise SoapFault("INVALID_LOGIN", _WRONG)
        if not core.trusted_network:
            raise SoapFault("LOGIN_MUST_USE_SECURITY_TOKEN", _NO_TOKEN)
    return _envelope(
        f"<loginResponse>{_result(core, version, api)}</loginResponse>", f'xmlns="urn:{api}.soap.sforce.com"'
    )


def _result(core: Core, version: str, api: str) -> str:
    who = core.credentials
    letter = next(letter for letter, name in APIS.items() if name == api)
    profile_id = next(ids.make("00e", 1, 1))
    user = {
        "accessibilityMode": "false",
        "currencySymbol": "$",
        "organizationId": who.org_id,
        "organizationMultiCurrency": "false",
        "organizationName": "Local Org",
        "profileId": profile_id,
        "roleId": None,
        "sessionSecondsValid": str(limits.SESSION_IDLE_SECONDS),
        "userDefaultCurrencyIsoCode": None,
        "userEmail": who.username,
        "userFullName": "Local Loader",
        "userId": who.user_id,
        "userLanguage": "en_US",
        "userLocale": "en_US",
        "userName": who.username,
        "userTimeZone": "GMT",
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }
    info = "".join(f'<{k} xsi:nil="true"/>' if v is None else xml.element(k, v) for k, v in user.items())
    parts = [
        xml.element("metadataServerUrl", f"{core.url}/services/Soap/m/{version}/{who.org_id[:15]}"),
        xml.element("passwordExpired", "false"),
        xml.element("sandbox", "false"),
        xml.element("serverUrl", f"{core.url}/services/Soap/{letter}/{version}/{who.org_id[:15]}"),
        xml.element("sessionId", core.sessions.open("api web").token),
        xml.element("userId", who.user_id),
        f"<userInfo>{info}</userInfo>",
    ]
    return f"<result>{''.join(parts)}</result>"


def _envelope(inner: str, namespace: str, *, status: int = 200) -> Response:
    text = (
        f'{xml.DECLARATION}<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" {namespace} '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{inner}</soapenv:Body></soapenv:Envelope>'
    )
    return Response(text.encode(), status, headers={"Content-Type": CONTENT_TYPE})
