"""Conversations as files: rendered, named, and kept up to date in a folder. No network, no library."""
