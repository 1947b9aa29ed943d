"""The service that takes in tenants, pairs, master records and mappings, and makes topics."""
