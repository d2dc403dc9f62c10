"""The counters of the engine, for Prometheus (`GET /metrics`)."""

from prometheus_client import Counter

JOBS = Counter("openbulk_jobs_finished", "Jobs that finished, by status.", ["status"])
RECORDS = Counter(
    "openbulk_records", "Records that have an outcome, by kind of outcome.", ["outcome"]
)
REFUSALS = Counter(
    "openbulk_refusals", "Calls that a service refused because a budget was used up."
)
WAITS = Counter("openbulk_waits", "Times that a job had to wait for its service.")
NOTIFICATIONS = Counter(
    "openbulk_notifications", "Attempts to deliver a notification, by result.", ["result"]
)
