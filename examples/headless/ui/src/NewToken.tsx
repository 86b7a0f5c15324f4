import { type FormEvent, useEffect, useRef, useState } from "react";
import { developer, type NewToken as CreatedToken, type Policy, type Problem } from "./api";
import { useAction, useLoaded } from "./hooks";
import { session } from "./session";

const day = 86_400;
const lifetimes = [7, 30, 90, 365];

const getPolicy = () => developer.GET("/policy");

export function NewToken({ onCreated }: { onCreated: (token: CreatedToken) => void }) {
  const [policy] = useLoaded(getPolicy);
  const [run, busy, problem] = useAction();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>([]);
  const [lifetime, setLifetime] = useState(30 * day);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]:not(fieldset), fieldset[aria-invalid="true"] input')?.focus();
  }, [problem]);
  if (!policy) {
    return null;
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const body = { name, scopes, expires_in: lifetime || null };
      const token = await session.call(() => developer.POST("/tokens", { body }));
      setName("");
      setScopes([]);
      onCreated(token);
    });
  };
  const toggle = (scope: string) => setScopes(scopes.includes(scope) ? scopes.filter((s) => s !== scope) : [...scopes, scope]);
  return (
    <form ref={form} onSubmit={submit} noValidate aria-labelledby="new-token">
      <h3 id="new-token">New token</h3>
      {problem && (
        <p role="alert" className="notice error" id="token-problem">
          {problem.errors ? "Please correct the marked fields." : problem.detail}
        </p>
      )}
      <label htmlFor="token-name">Name</label>
      <input id="token-name" value={name} maxLength={255} onChange={(e) => setName(e.target.value)} {...described(problem, "name")} />
      <FieldError problem={problem} field="name" />
      <fieldset {...described(problem, "scopes")}>
        <legend>It may</legend>
        {policy.scopes.map((scope) => (
          <label key={scope.name} className="choice">
            <input type="checkbox" value={scope.name} checked={scopes.includes(scope.name)} onChange={() => toggle(scope.name)} />
            {scope.description || scope.name}
          </label>
        ))}
      </fieldset>
      <FieldError problem={problem} field="scopes" empty={scopes.length === 0 ? "Choose at least one." : ""} />
      <label htmlFor="lifetime">Expires after</label>
      <select id="lifetime" value={lifetime} onChange={(e) => setLifetime(Number(e.target.value))} {...described(problem, "expires_in")}>
        <Lifetimes limit={policy.token.max_lifetime} />
      </select>
      <FieldError problem={problem} field="expires_in" />
      <button type="submit" disabled={busy}>
        Create token
      </button>
    </form>
  );
}

function Lifetimes({ limit }: { limit: Policy["token"]["max_lifetime"] }) {
  return (
    <>
      {lifetimes
        .filter((days) => limit === null || days * day <= limit)
        .map((days) => (
          <option key={days} value={days * day}>
            {days} days
          </option>
        ))}
      {limit === null && <option value={0}>Never</option>}
    </>
  );
}

function errorOf(problem: Problem | undefined, field: string): string | undefined {
  return problem?.errors?.find((error) => error.field === field)?.detail;
}

function described(problem: Problem | undefined, field: string) {
  return errorOf(problem, field) ? { "aria-invalid": true, "aria-describedby": `error-${field}` } : {};
}

/** The problem of a field: as the API describes it, unless the page has a better text for an empty one. */
function FieldError({ problem, field, empty }: { problem: Problem | undefined; field: string; empty?: string }) {
  const detail = errorOf(problem, field);
  return detail ? (
    <p className="field-error" id={`error-${field}`}>
      {empty || detail}
    </p>
  ) : null;
}
