"""The commands, one file each: `configure` sets up the options, `run` does the work and returns the exit code."""
