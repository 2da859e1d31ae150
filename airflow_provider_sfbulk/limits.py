"""Every number that Salesforce sets, with its unit and source.

No other file has such numbers. ``client`` and ``local_org`` both read this file, and share nothing else.

Sources, unless a line says otherwise: *Bulk API 2.0 and Bulk API Developer Guide*, Spring '26 edition (API 66.0), and
*Salesforce Developer Limits and Allocations Quick Reference*, Bulk API and Bulk API 2.0 page.
"""

from __future__ import annotations

from typing import Final

# --- API versions -------------------------------------------------------------------------------------------------

DEFAULT_API_VERSION: Final = "66.0"
"""Default version of a connection: Spring '26."""

OLDEST_API_VERSION: Final = "41.0"
"""Bulk API 2.0 ingest exists since this version ("Bulk API 2.0 … API version 41.0 and later")."""

OLDEST_QUERY_API_VERSION: Final = "47.0"
"""Bulk API 2.0 query jobs exist since this version."""

OLDEST_RESULT_PAGES_API_VERSION: Final = "58.0"
"""``resultPages`` (parallel download) exists since this version."""

OLDEST_LIVE_API_VERSION: Final = "31.0"
"""Oldest version that works: 21.0 to 30.0 were retired with Summer '25 ("API End-of-Life Policy")."""

NEWEST_API_VERSION: Final = "67.0"
"""Newest version seen to work, Summer '26. The local org refuses newer ones; the client does not."""

# --- Ingest -------------------------------------------------------------------------------------------------------

PART_BYTES: Final = 100_000_000
"""Bytes of CSV to upload to one job at most. The hard limit is 150 MB after base64, so the guide asks for at most
100 MB of raw data ("Upload Job Data")."""

UPLOAD_BASE64_BYTES: Final = 150_000_000
"""The hard limit itself: bytes of one upload after base64."""

MULTIPART_CHARACTERS: Final = 100_000
"""Characters of a job that is created with its data in one multipart request."""

HEADER_CHARACTERS: Final = 32_000
"""Characters of a CSV header line."""

FIELD_CHARACTERS: Final = 131_072
"""Characters of one field's value."""

RECORD_CHARACTERS: Final = 400_000
"""Characters of all fields of one record."""

RECORD_FIELDS: Final = 5_000
"""Fields of one record."""

RECORDS_PER_DAY: Final = 150_000_000
"""Records that Bulk API 2.0 ingest takes in a rolling 24 hours."""

BATCH_RECORDS: Final = 10_000
"""Records of one internal batch. Each counts against :data:`BATCHES_PER_DAY`."""

BATCH_SECONDS: Final = 5 * 60
"""Seconds that a batch of Bulk API 2.0 may be processed at a time. Source: Bulk API 2.0 limits, "Maximum time ... to
process a batch"; for Bulk API 1.0 it is ten minutes."""

CHUNK_RECORDS: Final = 200
"""Records that are saved in one transaction inside a batch."""

BATCHES_PER_DAY: Final = 15_000
"""Batches in a rolling 24 hours, shared by both generations of the Bulk API."""

REPLICATION_DAYS: Final = 30
"""Days that ``/sobjects/X/updated`` and ``/sobjects/X/deleted`` reach back ("Get Deleted", *REST API Developer Guide*)."""

JOB_OPEN_HOURS: Final = 24
"""Hours that a job may stay ``Open``."""

JOB_KEPT_DAYS: Final = 7
"""Days that a final job and its results are kept."""

# --- Query --------------------------------------------------------------------------------------------------------

QUERY_JOBS_PER_DAY: Final = 10_000
"""Query jobs in a rolling 24 hours."""

QUERY_RESULT_MEGABYTES_PER_DAY: Final = 976_562
"""Megabytes of query results in a rolling 24 hours, as ``/limits`` spells 1 TB."""

RESULT_PAGE_URLS: Final = 5
"""Maximum entries of one ``resultPages`` answer."""

RESULT_PAGE_SECONDS: Final = 20 * 60
"""Seconds in which one result page must be read."""

RELATIONSHIP_LEVELS: Final = 5
"""Levels of child-to-parent relationships in one path of a query (SOQL reference, "Understanding Relationship Query
Limitations")."""

SOQL_CHARACTERS: Final = 100_000
"""Characters of one SOQL statement (SOQL and SOSL limits)."""

SOQL_STRING_CHARACTERS: Final = 4_000
"""Characters of one string in a ``WHERE`` clause ("Strings in WHERE clauses can't exceed 4,000 characters", SOQL
reference)."""

SOQL_LIMIT_ROWS: Final = 2_147_483_647
"""Rows that ``LIMIT`` can ask for: beyond it the number is out of range. Seen in live orgs."""

SOQL_PARENTS: Final = 55
"""Child-to-parent relationships of one query (SOQL reference, "Understanding Relationship Query Limitations")."""

SOQL_ORDER_FIELDS: Final = 32
"""Fields of one ``ORDER BY`` (SOQL reference, "ORDER BY")."""

SOQL_SEMI_JOINS: Final = 2
"""Semi-joins and anti-joins of one query (SOQL reference, "Considerations for Semi-Join and Anti-Join Queries")."""

FILTERABLE_TEXT_CHARACTERS: Final = 255
"""Length of a text area that can still be filtered and sorted; longer ones are long text areas."""

FIRST_YEAR: Final = 1700
"""Year of the earliest valid date (SOQL reference, "Minimum and Maximum Dates")."""

LAST_YEAR: Final = 4000
"""Year of the latest valid date, same source."""

# --- Bulk API 1.0 -------------------------------------------------------------------------------------------------

BATCH_CHARACTERS: Final = 10_000_000
"""Maximum bytes, and so characters, of one batch of Bulk API 1.0. The guide says 10 MB and 10,000,000 characters;
the server says ``Exceeded max size limit of 10000000`` (jsforce/jsforce#31)."""

PK_CHUNK_RECORDS: Final = 100_000
"""Default records of one PK chunk ("PK Chunking Header")."""

PK_CHUNK_MOST_RECORDS: Final = 250_000
"""Maximum records of one PK chunk."""

BATCH_LOCK_FAILURES: Final = 100
"""Rows of a batch that may fail for a lock before the whole batch goes back to the queue ("General Guidelines for Data
Loads")."""

BATCH_LOCK_RETRIES: Final = 10
"""How often a batch goes back to the queue for locks before it fails with ``TooManyLockFailure``."""

RESULT_FILE_BYTES: Final = 1_000_000_000
"""Bytes of one result file of a Bulk API 1.0 query: "1 GB per file"."""

OLDEST_JSON_BATCH_API_VERSION: Final = "36.0"
"""Bulk API 1.0 jobs can be JSON since this version."""

NEWEST_SOAP_LOGIN_API_VERSION: Final = "64.0"
"""Newest version with SOAP ``login()``: "doesn't exist in API version 65.0 and later"."""

# --- Sessions -----------------------------------------------------------------------------------------------------

SESSION_IDLE_SECONDS: Final = 2 * 60 * 60
"""Seconds without a call after which a session ends: the default of an org's session timeout (Setup, Session
Settings)."""

# --- Both ---------------------------------------------------------------------------------------------------------

LIST_PAGE_JOBS: Final = 1_000
"""Jobs on one page of the job list."""

API_REQUESTS_PER_DAY: Final = 15_000
"""REST calls a day in a captured Developer Edition org; other editions have more. ``/limits`` has the org's own."""

DUPLICATE_UPDATES: Final = 12
"""How often records may be repeated in one chunk of :data:`CHUNK_RECORDS`, all repetitions together ("Maximum number of
duplicate updates in one batch (12 allowed)", the server's own text; help article 000386990 counts them)."""

DOUBLE_SCIENTIFIC_FROM: Final = 10_000_000
"""Numbers with a fraction are written in scientific notation from here on (``1.0E7``), as Java's ``Double.toString``
does. Seen in forcedotcom/cli#3367, documented in "Get Job Successful Record Results"."""
