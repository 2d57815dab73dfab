"""What is measured, as Prometheus reads it, at an address of its own. No account is in it, and nothing anybody said."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, start_http_server

from omi_mcp import measures
from omi_mcp.measures import Kind
from omi_mcp.pool import LibraryPool

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """A histogram for each kind of what is measured, and how the pool stands."""

    def __init__(self, pool: LibraryPool | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        def histogram(name: str, about: str, *labels: str) -> Histogram:
            return Histogram(f"omi_mcp_{name}_seconds", about, labels, registry=self.registry, buckets=SECONDS)

        self._request = histogram("request", "Requests over HTTP, by route and status.", "route", "status")
        self._call = histogram("call", "Calls of the protocol, by tool or method and outcome.", "call", "outcome")
        self._transaction = histogram("transaction", "Transactions in PostgreSQL, by outcome.", "outcome")
        self._warm_up = histogram("warm_up", "Accounts' copies made ready to serve, by outcome.", "outcome")
        if pool is not None:
            libraries = Gauge("omi_mcp_libraries", "Accounts' libraries, by state.", ["state"], registry=self.registry)
            for state in pool.standing()._fields:
                libraries.labels(state).set_function(partial(_counted, pool, state))

    @contextmanager
    def serving(self, host: str, port: int) -> Iterator[int]:
        """Measure, and answer at this address, in a thread; gives the port. Raises OSError."""
        server, thread = start_http_server(port, host, self.registry)
        try:
            with measures.listening(self.heard):
                yield int(server.server_port)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def heard(self, kind: Kind, which: str, outcome: str, seconds: float) -> None:
        match kind:
            case "request":
                self._request.labels(which, outcome).observe(seconds)
            case "call":
                self._call.labels(which, outcome).observe(seconds)
            case "transaction":
                self._transaction.labels(outcome).observe(seconds)
            case "warm_up":
                self._warm_up.labels(outcome).observe(seconds)


def _counted(pool: LibraryPool, state: str) -> float:
    return float(getattr(pool.standing(), state))
