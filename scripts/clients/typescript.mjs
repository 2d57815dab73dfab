// What both generations of the official TypeScript SDK do: tools, a search and a read, resources, prompts, completion.
import assert from "node:assert/strict";

const [transport, ...server] = process.argv.slice(2);

export const check = async (client, StdioTransport, HttpTransport) => {
  await client.connect(
    transport === "stdio"
      ? new StdioTransport({ command: server[0], args: server.slice(1), env: process.env })
      : new HttpTransport(new URL(server[0]), { requestInit: { headers: { Authorization: `Bearer ${server[1]}` } } }),
  );
  assert((await client.listTools()).tools.length >= 6);
  const call = (name, args) => client.callTool({ name, arguments: args });
  const found = await call("search_conversations", { query: "launch price decision", limit: 2 });
  const id = found.structuredContent.conversations[0].id;
  const read = await call("get_conversation", { conversation_id: id, find: "price" });
  assert(JSON.parse(read.content[0].text).transcript.text.toLowerCase().includes("price"));
  assert((await client.listResources()).resources.length > 10);
  const card = await client.readResource({ uri: `omi://conversations/${id}` });
  assert.equal(JSON.parse(card.contents[0].text).id, id);
  const prompt = await client.getPrompt({ name: "catch_up", arguments: { period: "yesterday" } });
  assert(prompt.messages.length > 0);
  const completed = await client.complete({
    ref: { type: "ref/resource", uri: "omi://conversations/{conversation_id}" },
    argument: { name: "conversation_id", value: "" },
  });
  assert(completed.completion.values.length > 0);
  assert.equal((await call("get_conversation", { conversation_id: "nowhere" })).isError, true);
};
