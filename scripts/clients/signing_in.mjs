// The whole way of a host on the web, for both generations of the official TypeScript SDK: find, register, sign in in a
// browser, call, refresh, revoke.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";

const [url, key, ...browser] = process.argv.slice(2);

/** What a host keeps, and how it opens a browser. `method` is how it authenticates itself. */
class Provider {
  constructor(port, method) {
    this.redirectUrl = `http://127.0.0.1:${port}/callback`;
    this.clientMetadata = {
      client_name: "The TypeScript SDK",
      redirect_uris: [this.redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: method,
    };
    this.signedIn = 0;
  }
  state() {
    return (this.expected ??= crypto.randomUUID());
  }
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    return this.kept;
  }
  saveTokens(tokens) {
    this.kept = tokens;
  }
  codeVerifier() {
    return this.verifier;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  discoveryState() {
    return this.found;
  }
  saveDiscoveryState(found) {
    this.found = found;
  }
  async redirectToAuthorization(address) {
    this.signedIn += 1;
    const person = spawn(browser[0], [...browser.slice(1), key, "write", address.href], { stdio: "inherit" });
    const [code] = await once(person, "exit");
    assert.equal(code, 0, "the browser was not led back");
  }
}

export const check = async (method, newClient, HttpTransport, finish) => {
  let ledBack;
  const server = createServer((request, response) => {
    if (request.url.startsWith("/callback")) ledBack = new URL(request.url, "http://127.0.0.1").searchParams;
    response.end("ok");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const provider = new Provider(server.address().port, method);
  const transport = () => new HttpTransport(new URL(url), { authProvider: provider });

  const first = transport();
  await assert.rejects(newClient().connect(first), (error) => /unauthorized/i.test(`${error.name} ${error.message}`));
  assert.equal(ledBack.get("state"), provider.expected);
  await finish(first, ledBack);
  const before = provider.kept;

  await use(newClient(), transport());
  provider.kept = { ...before, access_token: "of-long-ago" };
  await use(newClient(), transport());
  assert.equal(provider.signedIn, 1, "a refresh asked the person again");
  assert.notEqual(provider.kept.refresh_token, before.refresh_token);

  const origin = new URL(url).origin;
  const { revocation_endpoint } = await (await fetch(`${origin}/.well-known/oauth-authorization-server`)).json();
  const form = new URLSearchParams({ token: provider.kept.refresh_token, client_id: provider.client.client_id });
  if (provider.client.client_secret) form.set("client_secret", provider.client.client_secret);
  assert.equal((await fetch(revocation_endpoint, { method: "POST", body: form })).status, 200);
  const headers = { Authorization: `Bearer ${provider.kept.access_token}`, "Content-Type": "application/json" };
  assert.equal((await fetch(url, { method: "POST", body: "{}", headers })).status, 401);
  server.close();
  server.closeAllConnections();
};

const use = async (client, transport) => {
  await client.connect(transport);
  assert((await client.listTools()).tools.length >= 6);
  const found = await client.callTool({ name: "search_conversations", arguments: { query: "price", limit: 1 } });
  assert.equal(JSON.parse(found.content[0].text).conversations.length, 1);
  await client.close();
};
