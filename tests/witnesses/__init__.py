"""Clients that others wrote, each in an environment of its own, load, verify and clean up in a local org."""
