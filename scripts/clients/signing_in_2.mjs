// The official TypeScript SDK, generation 2, signs in, in both protocol eras.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { check } from "./signing_in.mjs";

const finish = (transport, ledBack) => transport.finishAuth(ledBack);
for (const [mode, method] of [["auto", "none"], ["legacy", "client_secret_basic"]]) {
  const newClient = () => new Client({ name: "typescript", version: "2" }, { versionNegotiation: { mode } });
  await check(method, newClient, StreamableHTTPClientTransport, finish);
}
