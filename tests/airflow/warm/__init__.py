"""What makes a real Airflow cheaper to start: a database laid out once a run, tries that find loaded what they need."""
