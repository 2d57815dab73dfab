"""The sub-commands, one file each: `NAME` and `HELP`, `configure` for its options, `run` for the work and exit code.

Heavy imports belong inside `run`: all of these files are loaded before a host's server can start.
"""
