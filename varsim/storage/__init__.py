"""Storage: rows to files and back, in every format that holds every digit; and the ledger."""
