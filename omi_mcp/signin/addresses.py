"""Who asks, as far as an address tells."""

from starlette.requests import Request


class Addresses:
    """`header` is where the proxy in front writes the address; without one, nobody's word is taken for it."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def of(self, request: Request) -> str:
        if self._header is not None and (written := request.headers.getlist(self._header)):
            # Of several the last is the nearest proxy's own; what is before it came with the request.
            return written[-1].rpartition(",")[2].strip()
        return request.client.host if request.client else ""
