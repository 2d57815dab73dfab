"""What a command works with: the open library, the output, progress, and words for errors."""
