"""A host that asks `server/discover` first and then, on the same pipe, opens with `initialize`, line by line."""

import json
import subprocess
import sys
from typing import Any

_, *command = sys.argv[1:]
PROBE_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "probing", "version": "1"},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "probing", "version": "1"}}

server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
assert server.stdin is not None
assert server.stdout is not None


def send(message: dict[str, Any]) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    server.stdin.flush()


def ask(number: int, method: str, **params: Any) -> Any:
    assert server.stdout is not None
    send({"id": number, "method": method, "params": params})
    for line in server.stdout:
        answer = json.loads(line)
        if answer.get("id") == number:
            assert "result" in answer, f"{method}: {answer.get('error')}"
            return answer["result"]
    raise AssertionError(f"{method}: no answer")


try:
    assert "2026-07-28" in ask(1, "server/discover", _meta=PROBE_META)["supportedVersions"]
    assert ask(2, "initialize", **HELLO)["protocolVersion"] == "2025-11-25"
    send({"method": "notifications/initialized"})
    assert len(ask(3, "tools/list")["tools"]) >= 6
    found = ask(4, "tools/call", name="search_conversations", arguments={"query": "price"})
    assert found["structuredContent"]["conversations"]
finally:
    server.stdin.close()
    code = server.wait(20)
assert code == 0, f"the server ended with {code}"
