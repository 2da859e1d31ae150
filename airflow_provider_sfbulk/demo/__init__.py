"""The main job end to end, on a real Airflow, against the local org: the command ``sfbulk-demo``."""
