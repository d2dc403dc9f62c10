"""The counters of the engine, for Prometheus (`GET /metrics`)."""

from prometheus_client import Counter

JOBS = Counter("openbulk_jobs_finished", "Jobs that ended, by how.", ["status"])
RECORDS = Counter(
    "openbulk_records", "Records that have an outcome, by how they ended.", ["outcome"]
)
REFUSALS = Counter("openbulk_refusals", "Calls that a service refused for being one too many.")
WAITS = Counter("openbulk_waits", "Times that a job had to wait for its service.")
NOTIFICATIONS = Counter(
    "openbulk_notifications", "Attempts to deliver a notification, by how they ended.", ["result"]
)
