"""What the org holds: objects and fields, the store, and what rows of an upload do to it."""
