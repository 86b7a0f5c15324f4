import { useEffect, useRef, useState } from "react";
import { developer, type NewToken as CreatedToken, type Token } from "./api";
import { Dialog } from "./Dialog";
import { focusInstead } from "./focus";
import { useAction, useLoaded } from "./hooks";
import { NewToken } from "./NewToken";
import { session } from "./session";
import { date } from "./text";

// The service allows 50 tokens per user, so this is all of them.
const listTokens = () => developer.GET("/tokens", { params: { query: { limit: 100 } } });

export function Tokens() {
  const [data, reload] = useLoaded(listTokens);
  const [created, setCreated] = useState<CreatedToken>();
  const [revoking, setRevoking] = useState<Token>();
  const [run, busy, problem] = useAction();
  const heading = useRef<HTMLHeadingElement>(null);

  const revoke = (token: Token) =>
    run(async () => {
      setRevoking(undefined);
      await session.call(() => developer.DELETE("/tokens/{id}", { params: { path: { id: token.id } } }));
      session.announce(`Token “${token.name}” revoked.`);
      if (created?.id === token.id) {
        setCreated(undefined);
      }
      await reload();
      focusInstead(heading);
    });

  return (
    <section className="card" aria-labelledby="tokens">
      <h2 id="tokens" ref={heading} tabIndex={-1}>
        Access tokens
      </h2>
      <p className="hint">Programs use them to read and write your notes.</p>
      {problem && (
        <p role="alert" className="notice error">
          {problem.detail}
        </p>
      )}
      {created && (
        <Plaintext
          token={created}
          onDone={() => {
            setCreated(undefined);
            heading.current?.focus();
          }}
        />
      )}
      {data && data.tokens.length === 0 && <p className="hint">There are no tokens yet.</p>}
      <ul className="list">
        {data?.tokens.map((token) => (
          <li key={token.id}>
            <TokenSummary token={token} />
            <button type="button" className="plain danger" disabled={busy} aria-label={`Revoke the token “${token.name}”`} onClick={() => setRevoking(token)}>
              Revoke
            </button>
          </li>
        ))}
      </ul>
      <NewToken
        onCreated={(token) => {
          setCreated(token);
          void reload();
        }}
      />
      {revoking && (
        <Dialog title="Revoke this token?" onCancel={() => setRevoking(undefined)}>
          <p>Programs that use “{revoking.name}” stop working. This cannot be undone.</p>
          <div className="buttons">
            <button type="button" className="danger" onClick={() => void revoke(revoking)}>
              Revoke
            </button>
            <button type="button" className="plain" onClick={() => setRevoking(undefined)}>
              Cancel
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

function TokenSummary({ token }: { token: Token }) {
  return (
    <div className="grow">
      <strong>{token.name}</strong> <code>{token.hint}</code>
      <div className="hint">
        {token.scopes.join(", ")} · {expiry(token)} · {token.last_used_at ? `last used ${date(token.last_used_at)}` : "not used yet"}
      </div>
    </div>
  );
}

function expiry({ state, expires_at }: Token): string {
  if (expires_at === null) {
    return "never expires";
  }
  return `${state === "expired" ? "expired" : "expires"} ${date(expires_at)}`;
}

/** A new token, whose plaintext is shown once. */
function Plaintext({ token, onDone }: { token: CreatedToken; onDone: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [token.id]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(token.token);
      session.announce("Token copied.");
    } catch {
      session.announce("The browser did not allow to copy. Select the token and copy it yourself.");
    }
  };
  return (
    <div className="notice created" id="created">
      <h3 ref={heading} tabIndex={-1}>
        Token “{token.name}” created
      </h3>
      <p>Copy it now. You will not be able to see it again.</p>
      <code className="plaintext">{token.token}</code>
      <div className="buttons">
        <button type="button" onClick={() => void copy()}>
          Copy
        </button>
        <button type="button" className="plain" onClick={onDone}>
          Done
        </button>
      </div>
    </div>
  );
}
