"""Jobs that survive: whose turn it is, what is sent again, and when a job ends."""
