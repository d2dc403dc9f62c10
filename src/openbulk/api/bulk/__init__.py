"""Bulk jobs: uploads, downloads, their status and their errors."""
