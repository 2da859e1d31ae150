"""Apache Airflow provider for the Salesforce Bulk API."""
