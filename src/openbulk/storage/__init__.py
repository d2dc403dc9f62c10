"""Storage: the ledger of jobs and their outcomes, and the file store."""
