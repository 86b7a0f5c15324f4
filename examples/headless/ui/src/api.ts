// The two APIs, with types from their OpenAPI documents, and what a response means.
import createClient from "openapi-fetch";
import type * as notes from "./generated/notes";
import type * as settings from "./generated/settings";

export type User = notes.components["schemas"]["User"];
export type Note = notes.components["schemas"]["Note"];
export type Token = settings.components["schemas"]["Token"];
export type NewToken = settings.components["schemas"]["NewToken"];
export type Policy = settings.components["schemas"]["Policy"];

const origin = document.querySelector<HTMLMetaElement>('meta[name="api-origin"]')?.content ?? "";

// Without "include", browsers neither send nor keep the cookie of another origin.
const credentials = "include";

export const api = createClient<notes.paths>({ baseUrl: `${origin}/api`, credentials });
export const developer = createClient<settings.paths>({ baseUrl: `${origin}/settings/api`, credentials });

export interface Problem {
  code: string;
  detail: string;
  errors?: { field: string; detail: string }[];
}

/** What to do about a request that failed. */
export type Kind =
  | "ended" // there is no valid session: sign in
  | "too-old" // there is one, but the sign-in is too old for this request: ask for the password
  | "unavailable" // the session may still be valid: keep it, and try again
  | "unreachable" // as unavailable, and there is no response at all
  | "rejected"; // the request itself is wrong: show why

export class Failure extends Error {
  constructor(
    readonly kind: Kind,
    readonly problem: Problem,
  ) {
    super(problem.detail);
  }
}

/** What openapi-fetch returns. */
export interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the data of a successful response, and throws a Failure otherwise. */
export async function dataOf<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch {
    // Scripts cannot tell a network that is down from a response that CORS hides.
    throw new Failure("unreachable", { code: "unreachable", detail: "The service cannot be reached." });
  }
  if (answer.response.ok) {
    return answer.data as T;
  }
  const problem = problemOf(answer.error);
  throw new Failure(kindOf(answer.response.status, problem), problem);
}

function kindOf(status: number, problem: Problem): Kind {
  if (status === 401) {
    return problem.code === "insufficient_user_authentication" ? "too-old" : "ended";
  }
  return status >= 500 ? "unavailable" : "rejected";
}

// A proxy may have answered, with something else than a problem document.
function problemOf(error: unknown): Problem {
  if (typeof error === "object" && error !== null && "code" in error && "detail" in error) {
    return error as Problem;
  }
  return { code: "unknown", detail: "The service answered with an error." };
}
