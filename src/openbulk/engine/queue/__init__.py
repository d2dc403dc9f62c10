"""Which process runs which slice, and when: lanes on DBOS, leases, heartbeats and the clock."""
