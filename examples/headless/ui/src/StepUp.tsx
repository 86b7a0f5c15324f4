import { type FormEvent, useState } from "react";
import { Failure, type User } from "./api";
import { Dialog } from "./Dialog";
import { useAction } from "./hooks";
import { session } from "./session";

/** Asks for the password again, because the sign-in is too old for a request. */
export function StepUp({ user }: { user: User }) {
  const [run, busy, problem] = useAction();
  const [password, setPassword] = useState("");
  const cancel = () => session.settle(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      try {
        await session.signIn(user.name, password);
      } catch (error) {
        // The banner is behind the dialog.
        throw error instanceof Failure ? new Failure("rejected", error.problem) : error;
      }
    });
  };
  return (
    <Dialog title="Your sign-in is too old" onCancel={cancel}>
      <p>You signed in a while ago. Enter your password again to continue.</p>
      {problem && (
        <p role="alert" className="notice error">
          {problem.detail}
        </p>
      )}
      <form onSubmit={submit}>
        <input type="text" autoComplete="username" value={user.name} readOnly hidden />
        <label htmlFor="confirm-password">Password of {user.name}</label>
        <input
          id="confirm-password"
          type="password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(e) => setPassword(e.target.value)}
        />
        <div className="buttons">
          <button type="submit" disabled={busy}>
            Continue
          </button>
          <button type="button" className="plain" onClick={cancel}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}
