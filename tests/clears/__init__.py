"""Clears by Airflow's own code, API server and database, in one process: see ``scene``."""
