"""What comes in, and what must come out: one line each. A new bad input is one line more.

The columns: what it is; the way it comes in (``ways.py``), with what; the error that must come out (``client/errors.py``),
with its first words where they matter. The bodies of replies are texts, sent as UTF-8.
"""

from __future__ import annotations

from typing import Final

from tests.hostile.table.arguments import ARGUMENTS
from tests.hostile.table.bulk1_replies import BULK1_REPLIES
from tests.hostile.table.line import Line
from tests.hostile.table.logins import LOGINS
from tests.hostile.table.objects import OBJECTS
from tests.hostile.table.records import RECORDS
from tests.hostile.table.replies import REPLIES
from tests.hostile.table.result_files import RESULT_FILES

BAD_INPUTS: Final[list[Line]] = [
    *REPLIES,
    *BULK1_REPLIES,
    *LOGINS,
    *RECORDS,
    *RESULT_FILES,
    *OBJECTS,
    *ARGUMENTS,
]
