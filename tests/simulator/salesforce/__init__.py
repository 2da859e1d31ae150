"""A model of Salesforce: requests in, replies out."""
