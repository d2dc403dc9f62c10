"""The connector to copy for a service with a REST API: the connector, its sandbox and its test."""
