"""Which body comes in which format.

==================  =======================  ====================  ==============  =================
job ``contentType`` batch ``Content-Type``   job and batch info    data results    query results
==================  =======================  ====================  ==============  =================
``XML``             ``application/xml``      XML                   XML             XML
``CSV``             ``text/csv``             XML                   CSV             CSV
``JSON``            ``application/json``     JSON                  JSON            JSON
==================  =======================  ====================  ==============  =================

"The info format follows the job's content type; where no job is in play it follows the request's ``Content-Type``, XML
when absent." Recorded besides: a job created with an XML body but ``<contentType>JSON</contentType>`` got an XML answer.
And clients that want JSON for a CSV job send the job's body as JSON "and get JSON for the job calls only". So here: a
call with a jobInfo body is answered in that body's format, a GET of a job in JSON when the job or the call's
``Content-Type`` is JSON, and what concerns batches as the table says.

The content types carry no charset: clients compare them with the bare ones.
"""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "http://www.force.com/2009/06/asyncapi/dataload"

XML_TYPE: Final = "application/xml"
CSV_TYPE: Final = "text/csv"
JSON_TYPE: Final = "application/json"

CONTENT_TYPES: Final = {"XML": XML_TYPE, "CSV": CSV_TYPE, "JSON": JSON_TYPE}
"""``Content-Type`` of a batch by its job's ``contentType``."""

ZIP_TYPES: Final = {"ZIP_XML": "zip/xml", "ZIP_CSV": "zip/csv", "ZIP_JSON": "zip/json"}
"""Jobs with attachments, which the local org refuses."""

INFO_TYPES: Final = frozenset({XML_TYPE, JSON_TYPE})
"""What a jobInfo can be written in."""
