"""The domain model: jobs, records, outcomes, queries, errors. Standard library only."""
