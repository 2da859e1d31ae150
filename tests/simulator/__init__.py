"""A simulator of loads: the real flows and the real ledger, a model of Salesforce, a seeded scheduler, and every fault."""
