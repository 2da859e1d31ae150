"""The Airflow-free core: a client for both generations of the Salesforce Bulk API."""
