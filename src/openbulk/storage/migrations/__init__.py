"""The ledger's history: each version makes the tables of the one before into its own. Only ever forward."""
