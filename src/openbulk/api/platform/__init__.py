"""Hubs, elements, instances, and signing in to a service."""
