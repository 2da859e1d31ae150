"""The main job end to end, on a real Airflow, against the local org: ``python -m airflow_provider_sfbulk.demo``."""
