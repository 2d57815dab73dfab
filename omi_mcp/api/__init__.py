"""The Omi Developer API: what it takes, what it answers, how it fails, and what it allows per hour."""
