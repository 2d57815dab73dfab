"""How often strangers may ask one machine: what is counted is forgotten after a while, and costs no more than a bound.

How often they may try to sign in, all machines count together: see `Store.attempt`.
"""

import ipaddress
from collections import OrderedDict
from datetime import datetime, timedelta

from omi_mcp.clock import Clock

MOST_ADDRESSES = 10_000


class Attempts:
    """At most `most` in `span` of one address, and `in_all` of all together.

    An address of this computer is a proxy's, and says nothing of who asks: such attempts are only counted in all.
    """

    def __init__(self, clock: Clock, *, most: int, in_all: int, span: timedelta) -> None:
        self._clock = clock
        self._most = most
        self._in_all = in_all
        self._span = span
        self._counted: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def wait(self, address: str) -> float | None:
        """Seconds until the next attempt may be made; None for now."""
        now = self._clock.now()
        waits = [
            (began + self._span - now).total_seconds()
            for name, most in self._limits(address)
            if (counted := self._counted.get(name)) and (began := counted[0]) + self._span > now and counted[1] >= most
        ]
        return max(waits, default=None)

    def count(self, address: str) -> None:
        now = self._clock.now()
        for name, _ in self._limits(address):
            began, number = self._counted.get(name, (now, 0))
            if began + self._span <= now:
                began, number = now, 0
            self._counted[name] = (began, number + 1)
            self._counted.move_to_end(name)
        while len(self._counted) > MOST_ADDRESSES:
            self._counted.popitem(last=False)

    def _limits(self, address: str) -> list[tuple[str, int]]:
        limits = [("", self._in_all)]
        if name := network(address):
            limits.append((name, self._most))
        return limits


def network(address: str) -> str | None:
    """What counts as one who asks: an IPv4 address, or the network that one customer has of IPv6."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return None
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
