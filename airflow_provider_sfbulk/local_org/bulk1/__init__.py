"""Bulk API 1.0: ``/services/async/XX.0``.

Read on in the order :mod:`.jobs` (what jobs and batches are), :mod:`.formats` (which body is XML, which JSON),
:mod:`.job_in` and :mod:`.bodies` (jobs and batches, read and written), :mod:`.routes` (the calls), :mod:`.work` (what
happens to a batch), :mod:`.data_work` and :mod:`.query_work` (to its records).

It shares with Bulk API 2.0 what decides about records: columns, cells, rows and SOQL.
"""
