"""Tests of rows and bytes on their way to Salesforce."""
