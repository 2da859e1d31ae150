"""What the documents of other clients and of Bulk API 1.0 name, and where each line of it is shown.

``lines.toml`` has the lines. A test shows a line when it carries the line's mark (``@pytest.mark.parity("G6.14")``); a page
shows it when a section of it says the line's phrases. ``python -m tests.parity`` makes ``docs/parity.md`` of both.
"""
