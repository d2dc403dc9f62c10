"""Telling callers that their jobs are finished, and which addresses this server may call."""
