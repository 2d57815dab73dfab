"""Keeping the mirror in step with the account, in as few requests as will do."""
