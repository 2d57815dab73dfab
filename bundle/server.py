"""What a host starts in the bundle. It needs no argument, because some hosts give it none."""

from omi_mcp.cli import main

main()
