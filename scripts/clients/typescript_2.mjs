// The official TypeScript SDK, generation 2, which asks for the newest protocol first.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { check } from "./typescript.mjs";

const client = new Client({ name: "typescript", version: "2" }, { versionNegotiation: { mode: "auto" } });
await check(client, StdioClientTransport, StreamableHTTPClientTransport);
await client.close();
