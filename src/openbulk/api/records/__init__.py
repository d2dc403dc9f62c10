"""An instance's objects, and their records as plain REST."""
