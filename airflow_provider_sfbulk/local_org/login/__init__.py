"""Signing in: OAuth flows, SOAP login, credentials and sessions."""
