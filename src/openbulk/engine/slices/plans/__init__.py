"""Finds out what an upload would do, row by row, and keeps it."""
