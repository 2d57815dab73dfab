"""Keeping the mirror in step with the account, in as few requests as will do."""

from omi_mcp.mirror.sync.scheduler import Scheduler

__all__ = ["Scheduler"]
