"""Transfers from one instance into another, at once or by a schedule."""
