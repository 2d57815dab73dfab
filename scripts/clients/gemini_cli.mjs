// Gemini CLI's own check of a configured server: it starts or reaches it, and says whether it is connected.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [transport, ...server] = process.argv.slice(2);
const gemini = join(dirname(fileURLToPath(import.meta.url)), "node_modules", ".bin", "gemini");
const run = (...args) => {
  const env = { ...process.env, GEMINI_CLI_TRUST_WORKSPACE: "true" };
  const ended = spawnSync(gemini, args, { encoding: "utf8", timeout: 120_000, env });
  assert.equal(ended.status, 0, ended.stderr);
  return ended.stdout + ended.stderr;
};
if (transport === "stdio") {
  run("mcp", "add", "--scope", "user", "omi", ...server.slice(0, 1), "--", ...server.slice(1));
} else {
  run("mcp", "add", "--scope", "user", "--transport", "http", "omi", server[0], "--header", `Authorization: Bearer ${server[1]}`);
}
let listed = run("mcp", "list");
if (/Disconnected/.test(listed)) listed = run("mcp", "list"); // it waits five seconds, and a busy computer may need more
assert.match(listed, /omi: .*Connected/, listed);
