"""Replies of Bulk API 1.0."""

from __future__ import annotations

from typing import Final

from tests.hostile.table.line import CSV, JOB_ID, JSON, XML, Answer, Line

# One line each.
# fmt: off

BATCH: Final = f"<batchInfo><id>7518d000003QaLpAAK</id><jobId>{JOB_ID}</jobId><state>Completed</state><numberRecordsProcessed>1</numberRecordsProcessed></batchInfo>"


BULK1_REPLIES: Final[list[Line]] = [
    ("job of 1.0: XML that is cut", "reply", ("job of 1.0", Answer(200, XML, "<jobInfo><id>75")), "TransportError"),
    ("job of 1.0: the wrong element", "reply", ("job of 1.0", Answer(200, XML, "<x/>")), "ProtocolError"),
    ("job of 1.0: an entity", "reply", ("job of 1.0", Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><jobInfo/>')), "ServerBusyError"),
    ("job of 1.0: JSON that is null", "reply", ("job of 1.0", Answer(200, JSON, "null")), "ProtocolError"),
    ("job of 1.0: nothing", "reply", ("job of 1.0", Answer(200, XML, "")), "TransportError"),
    ("job of 1.0: deep XML", "reply", ("job of 1.0", Answer(200, XML, "<a>" * 100 + "</a>" * 100)), "TransportError"),
    ("job of 1.0: text", "reply", ("job of 1.0", Answer(200, "text/plain", "x")), "ProtocolError"),
    ("batches of 1.0: XML that is cut", "reply", ("batches of 1.0", Answer(200, XML, "<jobInfo><id>75")), "TransportError"),
    ("batches of 1.0: the wrong element", "reply", ("batches of 1.0", Answer(200, XML, "<x/>")), "ProtocolError"),
    ("batches of 1.0: an entity", "reply", ("batches of 1.0", Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><jobInfo/>')), "ServerBusyError"),
    ("batches of 1.0: JSON that is null", "reply", ("batches of 1.0", Answer(200, JSON, "null")), "ProtocolError"),
    ("batches of 1.0: nothing", "reply", ("batches of 1.0", Answer(200, XML, "")), "TransportError"),
    ("batches of 1.0: deep XML", "reply", ("batches of 1.0", Answer(200, XML, "<a>" * 100 + "</a>" * 100)), "TransportError"),
    ("batches of 1.0: text", "reply", ("batches of 1.0", Answer(200, "text/plain", "x")), "ProtocolError"),
    ("result ids of 1.0: XML that is cut", "reply", ("result ids of 1.0", Answer(200, XML, "<jobInfo><id>75")), "TransportError"),
    ("result ids of 1.0: the wrong element", "reply", ("result ids of 1.0", Answer(200, XML, "<x/>")), "ProtocolError"),
    ("result ids of 1.0: an entity", "reply", ("result ids of 1.0", Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><jobInfo/>')), "ServerBusyError"),
    ("result ids of 1.0: JSON that is null", "reply", ("result ids of 1.0", Answer(200, JSON, "null")), "ProtocolError"),
    ("result ids of 1.0: nothing", "reply", ("result ids of 1.0", Answer(200, XML, "")), "TransportError"),
    ("result ids of 1.0: deep XML", "reply", ("result ids of 1.0", Answer(200, XML, "<a>" * 100 + "</a>" * 100)), "TransportError"),
    ("result ids of 1.0: text", "reply", ("result ids of 1.0", Answer(200, "text/plain", "x")), "ProtocolError"),
    ("results of 1.0 of another form, CSV", "reply", ("results of 1.0, CSV", Answer(200, CSV, "a,b\n1,2\n")), "ProtocolError"),
    ("results of 1.0 of another form, XML", "reply", ("results of 1.0, XML", Answer(200, XML, "<x/>")), "ProtocolError"),
    ("results of 1.0 of another form, JSON", "reply", ("results of 1.0, JSON", Answer(200, JSON, '{"x":1}')), "ProtocolError"),
    ("results of 1.0 whose errors are a number", "reply", ("results of 1.0, JSON", Answer(200, JSON, '[{"id":1,"success":true,"created":true,"errors":7}]')), "ProtocolError"),
    ("results of 1.0 whose fields are a number", "reply", ("results of 1.0, JSON", Answer(200, JSON, '[{"success":false,"created":false,"errors":[{"fields":7}]}]')), "ProtocolError"),
    ("batches of 1.0: one of them twice", "reply", ("batches of 1.0", Answer(200, XML, f'<batchInfoList xmlns="http://www.force.com/2009/06/asyncapi/dataload">{BATCH}{BATCH}</batchInfoList>')), "ProtocolError"),
    ("result ids of 1.0: one of them twice", "reply", ("result ids of 1.0", Answer(200, XML, '<result-list xmlns="http://www.force.com/2009/06/asyncapi/dataload"><result>752x00000004CJE</result><result>752x00000004CJE</result></result-list>')), "ProtocolError"),
    ("result ids of 1.0: a path", "reply", ("result ids of 1.0", Answer(200, XML, '<result-list xmlns="http://www.force.com/2009/06/asyncapi/dataload"><result>../../../x</result></result-list>')), "ProtocolError"),
    ("400 with 30,000 namespaces", "reply", ("job of 1.0", Answer(400, XML, "<a " + " ".join(f'xmlns:n{n}="u{n}"' for n in range(30000)) + "/>")), "RequestRefusedError"),
    ("batches of 1.0: more failed than were tried", "reply", ("batches of 1.0", Answer(200, XML, f"<batchInfoList>{BATCH}</batchInfoList>".replace("</batch", "<numberRecordsFailed>2</numberRecordsFailed></batch", 1))), "ProtocolError: batch"),
]
