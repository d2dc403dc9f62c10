"""Slices: a bounded piece of a job's work, run, paced, and written down."""
