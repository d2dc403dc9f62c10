"""Pacing against a service's quota: the governor, its reservations, its sliding windows."""
