// A client of the API of package settings. It runs against the server whose API_URL and session
// COOKIE it gets, and exits with an error if a response is not what the types say.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Token = components["schemas"]["Token"];
type Problem = components["schemas"]["Problem"];

const headers = { Cookie: process.env.COOKIE ?? "", "Sec-Fetch-Site": "same-origin" };
const api = createClient<paths>({ baseUrl: process.env.API_URL ?? "", headers });

// got returns the data of a response, and fails for a problem.
function got<T>(response: { data?: T; error?: Problem }): T {
  assert.equal(response.error, undefined);
  assert.notEqual(response.data, undefined);
  return response.data as T;
}

async function policy(): Promise<void> {
  const answer = got(await api.GET("/policy"));
  const limit: number | null = answer.token.max_lifetime;
  assert.equal(limit, null);
  assert.deepEqual(answer.token.metadata, [{ key: "team", label: "Team" }]);
}

// newKey returns a UUID of version 7, in quotes.
function newKey(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  return `"${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}"`;
}

async function create(): Promise<Token> {
  const params = { header: { "Idempotency-Key": newKey() } };
  const body = { name: "deploy", scopes: ["notes:read"], expires_in: null };
  const made = got(await api.POST("/tokens", { params, body }));
  const repeated = await api.POST("/tokens", { params, body });
  assert.equal(repeated.error?.id, made.id);
  const plaintext: string = made.token;
  assert.ok(plaintext.startsWith("acme_pat_"));
  assert.equal(made.expires_at, null);
  return made;
}

async function faults(): Promise<void> {
  // @ts-expect-error: a member is missing, and another one is unknown
  const { error } = await api.POST("/tokens", { body: { name: "", scopes: ["notes:read"], expires: null } });
  assert.equal(error?.code, "invalid_argument");
  assert.deepEqual(error.errors?.map((e) => e.field), ["name", "expires_in", "expires"]);
  // @ts-expect-error: there is no such order
  const list = await api.GET("/tokens", { params: { query: { sort: "random" } } });
  assert.equal(list.response.status, 400);
}

async function change(id: string): Promise<void> {
  const path = { id };
  const changed = got(await api.PATCH("/tokens/{id}", { params: { path }, body: { name: "release", metadata: { team: "web" } } }));
  assert.equal(changed.name, "release");
  assert.equal(changed.metadata["team"], "web");
  assert.equal(changed.networks, null);
  const { response } = await api.GET("/tokens/{id}", { params: { path } });
  const tag = response.headers.get("ETag") ?? "";
  const same = await api.GET("/tokens/{id}", { params: { path, header: { "If-None-Match": tag } } });
  assert.equal(same.response.status, 304);
  const edit = { params: { path, header: { "If-Match": tag } }, body: { metadata: { team: "ops" } } };
  const next = await api.PATCH("/tokens/{id}", edit);
  assert.notEqual(next.response.headers.get("ETag"), tag);
  const late = await api.PATCH("/tokens/{id}", edit);
  assert.equal(late.error?.code, "precondition_failed");
}

async function search(): Promise<void> {
  const query = { search: "REL", state: ["active" as const], sort: "expiring" as const, total: true };
  const page = got(await api.GET("/tokens", { params: { query } }));
  assert.equal(page.total, 1);
  assert.equal(page.next, null);
  assert.equal(page.tokens[0]?.name, "release");
}

async function sessions(): Promise<void> {
  const list = got(await api.GET("/sessions"));
  const current = list.sessions.find((s) => s.current);
  assert.ok(current);
  const one = got(await api.GET("/sessions/{id}", { params: { path: { id: current.id } } }));
  assert.equal(one.actor, null);
  assert.equal(one.bound, false);
}

async function rotateAndRevoke(id: string): Promise<void> {
  const next = got(await api.POST("/tokens/{id}/rotate", { params: { path: { id } }, body: { overlap: 60 } }));
  assert.equal(next.previous_id, id);
  const { response } = await api.DELETE("/tokens/{id}", { params: { path: { id: next.id } } });
  assert.equal(response.status, 204);
  const gone = await api.GET("/tokens/{id}", { params: { path: { id } } });
  assert.equal(gone.error?.code, "not_found");
}

await policy();
await faults();
const { id } = await create();
await change(id);
await search();
await sessions();
await rotateAndRevoke(id);
