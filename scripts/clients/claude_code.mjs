// Claude Code's own check of a configured server: it starts or reaches it, and says whether it is connected.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [transport, ...server] = process.argv.slice(2);
const claude = join(dirname(fileURLToPath(import.meta.url)), "node_modules", ".bin", "claude");
const run = (...args) => execFileSync(claude, args, { encoding: "utf8", timeout: 120_000 });
if (transport === "stdio") {
  run("mcp", "add", "omi", "--", ...server);
} else {
  run("mcp", "add", "--transport", "http", "omi", server[0], "--header", `Authorization: Bearer ${server[1]}`);
}
const listed = run("mcp", "list");
assert.match(listed, /omi: .*Connected/, listed);
