"""What is remembered: the ledger of jobs and their outcomes, and the files."""
