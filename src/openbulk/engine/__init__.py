"""The job engine: runs jobs in slices, retries calls, and survives crashes."""
