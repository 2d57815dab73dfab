"""The parts of `benchmarks/hosted.py`: accounts, the service they are at, proxy, processes, database, assistants."""
