"""What surrounds a simulated operator: Airflow, its processes, its stores, and other tasks."""
