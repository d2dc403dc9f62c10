"""Callbacks to callers, and the addresses that this server may call."""
