"""openbulk: load thousands or millions of records from a file into a cloud service."""
