"""Who works when: lanes on DBOS, leases, heartbeats and the clock."""
