"""A strict local Salesforce, for tests, demos and development. Loopback only."""
