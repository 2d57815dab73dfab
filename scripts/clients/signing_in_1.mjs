// The official TypeScript SDK, generation 1, signs in.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { check } from "./signing_in.mjs";

const newClient = () => new Client({ name: "typescript", version: "1" });
const finish = (transport, ledBack) => transport.finishAuth(ledBack.get("code"));
await check("client_secret_post", newClient, StreamableHTTPClientTransport, finish);
