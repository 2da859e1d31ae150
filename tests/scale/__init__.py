"""The provider beyond one machine: Celery with Redis, PostgreSQL, two triggerers, an S3 server, and everything killed.

``python -m tests.scale`` (``make scale``) sets all of it up on loopback in a temporary folder, runs a mapped load and an
extract under every disturbance of ``scenarios.py``, and holds each against the org's own records. It is no part of the
default tests: it takes an hour and needs the servers of PostgreSQL and Redis.
"""
