"""Whole operators under a schedule, and what must hold of them."""
