import { type FormEvent, type RefObject, useState } from "react";
import { useAction, useSession } from "./hooks";
import { session } from "./session";

export function SignIn({ heading }: { heading: RefObject<HTMLHeadingElement | null> }) {
  const { notice } = useSession();
  const [run, busy, problem] = useAction();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(() => session.signIn(name, password));
  };
  return (
    <section className="card narrow">
      <h1 ref={heading} tabIndex={-1}>
        Sign in
      </h1>
      {notice && !problem && (
        <p role="alert" className="notice" id="notice">
          {notice}
        </p>
      )}
      {problem && (
        <p role="alert" className="notice error" id="problem">
          {problem.detail}
        </p>
      )}
      <form onSubmit={submit}>
        <label htmlFor="name">Name</label>
        <input id="name" autoComplete="username" autoCapitalize="none" required value={name} onChange={(e) => setName(e.target.value)} />
        <label htmlFor="password">Password</label>
        <input id="password" type="password" autoComplete="current-password" required value={password} onChange={(e) => setPassword(e.target.value)} />
        <button type="submit" disabled={busy}>
          Sign in
        </button>
      </form>
    </section>
  );
}
