"""The words of openbulk: what a job, a record and an outcome are. Standard library only."""
