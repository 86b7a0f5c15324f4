import { type RefObject, useEffect, useRef } from "react";
import type { User } from "./api";
import { useAction, useSession, useSessionChecks } from "./hooks";
import { Notes } from "./Notes";
import { session } from "./session";
import { SignIn } from "./SignIn";
import { StepUp } from "./StepUp";
import { Tokens } from "./Tokens";
import { dateTime } from "./text";

export function App() {
  const { user, outage, confirming, announcement } = useSession();
  useSessionChecks();
  const heading = useFocusOnChange(user ? user.name : user, outage);
  return (
    <>
      <header className="bar">
        <span className="brand">Notes</span>
        {user && <SignOut user={user} />}
      </header>
      <main>
        {outage && <Outage signedIn={Boolean(user)} />}
        {user === undefined && <h1 className={outage ? "" : "hint"}>{outage ? "Notes" : "Loading…"}</h1>}
        {user === null && <SignIn heading={heading} />}
        {user && <Home key={user.name} user={user} heading={heading} />}
      </main>
      {confirming && user && <StepUp user={user} />}
      <p role="status" className="visually-hidden">{announcement}</p>
    </>
  );
}

/**
 * Moves the focus to the heading when the page becomes another one, so that screen readers read it,
 * and when the button that ended an outage has disappeared with the focus.
 */
function useFocusOnChange(page: string | null | undefined, outage: boolean): RefObject<HTMLHeadingElement | null> {
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = useRef({ page, outage });
  useEffect(() => {
    const before = shown.current;
    shown.current = { page, outage };
    const lost = before.outage && !outage && document.activeElement === document.body;
    if (lost || (before.page !== undefined && before.page !== page)) {
      heading.current?.focus();
    }
  }, [page, outage]);
  return heading;
}

function SignOut({ user }: { user: User }) {
  const [run, busy] = useAction();
  return (
    <div className="account">
      <span>
        Signed in as <strong id="user">{user.name}</strong>
      </span>
      <button type="button" className="plain" disabled={busy} onClick={() => void run(() => session.signOut())}>
        Sign out
      </button>
    </div>
  );
}

function Outage({ signedIn }: { signedIn: boolean }) {
  const [run, busy] = useAction();
  return (
    <div role="alert" className="notice outage" id="outage">
      <p>
        <strong>The service is unavailable at the moment.</strong>{" "}
        {signedIn ? "You are still signed in. Your last change may not have been saved." : "Please try again."}
      </p>
      <button type="button" disabled={busy} onClick={() => void run(() => session.retry())}>
        Retry
      </button>
    </div>
  );
}

function Home({ user, heading }: { user: User; heading: RefObject<HTMLHeadingElement | null> }) {
  return (
    <>
      <h1 ref={heading} tabIndex={-1}>
        Hello, {user.name}
      </h1>
      {user.authenticated_at && (
        <p className="hint">
          You signed in on <time dateTime={user.authenticated_at}>{dateTime(user.authenticated_at)}</time>.
        </p>
      )}
      <Notes />
      <Tokens />
    </>
  );
}
