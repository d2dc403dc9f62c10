"""The language of the wire contract: its JSON shapes and its query language."""
