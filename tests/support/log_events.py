"""Log events whose absence tests assert; tests/test_log_events.py sees that openbulk has them."""

SLICE_FAILED = "slice failed"
FILE_CUT = "file is cut"
REQUEST_FAILED = "request failed"
ACCESS_NOT_REVOKED = "access not revoked"
