"""The `omi-mcp` command. Kept light: what a host waits for is the import of the MCP SDK, and nothing else."""

import gc
import sys

# The SDK's import makes some hundred thousand objects that all stay: collecting while it runs only costs start-up time.
gc.disable()


def main() -> None:
    """Run the command line; exits with its status code."""
    from omi_mcp.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
