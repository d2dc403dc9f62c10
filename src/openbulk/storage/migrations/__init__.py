"""The ledger's history: each version changes the tables of the one before. Only ever forward."""
