import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { type Answer, Failure, type Problem } from "./api";
import { session, type Snapshot } from "./session";

export function useSession(): Snapshot {
  return useSyncExternalStore(session.subscribe, session.snapshot);
}

/** How often a visible page asks whether the session still exists. */
const checkEvery = 60_000;

/** Notices a session that has ended elsewhere: when the user returns to the page, and now and then. */
export function useSessionChecks(): void {
  useEffect(() => {
    const check = () => {
      if (document.visibilityState === "visible" && session.snapshot().user) {
        void session.check();
      }
    };
    const timer = setInterval(check, checkEvery);
    window.addEventListener("focus", check);
    document.addEventListener("visibilitychange", check);
    return () => {
      clearInterval(timer);
      window.removeEventListener("focus", check);
      document.removeEventListener("visibilitychange", check);
    };
  }, []);
}

/** Data of the user, undefined until it is loaded, and a function that loads it again. */
export function useLoaded<T>(request: () => Promise<Answer<T>>): [T | undefined, () => Promise<void>] {
  const { generation } = useSession();
  const [data, setData] = useState<T>();
  const latest = useRef(0); // a slow response must not replace a later one
  const load = useCallback(async () => {
    const mine = ++latest.current;
    try {
      const loaded = await session.call(request);
      if (mine === latest.current) {
        setData(loaded);
      }
    } catch (error) {
      if (!(error instanceof Failure)) {
        throw error;
      }
    }
  }, [request]);
  useEffect(() => {
    void load();
    return () => void latest.current++;
  }, [load, generation]);
  return [data, load];
}

/** Runs an action once at a time, and keeps the problem that it is rejected with. */
export function useAction(): [run: (action: () => Promise<void>) => Promise<void>, busy: boolean, problem: Problem | undefined] {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const run = async (action: () => Promise<void>) => {
    if (busy) {
      return;
    }
    setBusy(true);
    setProblem(undefined);
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Failure)) {
        throw error;
      }
      if (error.kind === "rejected") {
        setProblem(error.problem);
      }
    } finally {
      setBusy(false);
    }
  };
  return [run, busy, problem];
}
