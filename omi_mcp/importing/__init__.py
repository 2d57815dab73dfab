"""Transcripts of other programs, read from their files and planned as conversations. No network, no library."""
