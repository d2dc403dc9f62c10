"""Keeps what jobs overwrite, and puts it back."""
