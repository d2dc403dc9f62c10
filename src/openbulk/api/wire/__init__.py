"""The language of the wire contract: the JSON of each resource, the query language, ids."""
