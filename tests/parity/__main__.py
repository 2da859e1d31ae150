"""Makes ``docs/parity.md``."""

from __future__ import annotations

from tests.parity.lines import PAGE, Parity

PAGE.write_text(Parity().page(), encoding="utf-8")
