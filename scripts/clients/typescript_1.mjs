// The official TypeScript SDK, generation 1.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { check } from "./typescript.mjs";

const client = new Client({ name: "typescript", version: "1" });
await check(client, StdioClientTransport, StreamableHTTPClientTransport);
const half = await client.request(
  { method: "tools/call", params: { name: "search_conversations", arguments: { query: "half a character: \ud800" } } },
  { parse: (value) => value, safeParse: (data) => ({ success: true, data }) },
  { timeout: 20_000 },
).catch((error) => error);
assert(!String(half).includes("timed out"), "a lone surrogate leaves the call without an answer");
await client.close();
