"""HTTP itself: bodies, errors, methods, request ids, idempotency, the OpenAPI document."""
