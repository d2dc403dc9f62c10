"""Workflows, and the schedules that run them."""
