"""`python -m omi_mcp`."""

from omi_mcp.cli import main

if __name__ == "__main__":
    main()
