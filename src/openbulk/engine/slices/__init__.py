"""Slices: bounded pieces of a job's work, from their beginning to their end."""
