"""The REST API: records, queries, describe, limits."""
