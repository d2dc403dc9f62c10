"""What the wire contract fixes, and the server and its clients both need."""

BASE_PATH = "/elements/api-v2"
"""In front of every path of the API."""
