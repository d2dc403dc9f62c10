"""Jobs that survive: which slice runs when, what is sent again, and how a job ends."""
