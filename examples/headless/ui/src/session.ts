// The session of the user, as far as the page knows: the cookie itself is hidden from scripts.
import { type Answer, api, dataOf, Failure, type User } from "./api";

export interface Snapshot {
  /** undefined until the service has said who is signed in, null if there is no session */
  user: User | null | undefined;
  /** why the user is signed out, for the sign-in page */
  notice: string;
  /** the service does not answer, which does not end the session */
  outage: boolean;
  /** a request waits until the user has signed in again */
  confirming: boolean;
  /** changes when all data has to be loaded again */
  generation: number;
  /** the last thing that happened, for screen readers */
  announcement: string;
}

export const ended = "Your session has ended: it has expired, or it was revoked elsewhere. Please sign in again.";

export const cookieRefused =
  "Your name and password are right, but the browser did not keep the session cookie. " +
  "It probably blocks cookies of other sites: allow them for this page, or use another browser.";

const signedOutHereOnly =
  "This browser is signed out. The service could not end the session itself, because it is unavailable: " +
  "sign in later and sign out again, if someone may have copied your cookie.";

function isOutage(error: unknown): boolean {
  return error instanceof Failure && (error.kind === "unavailable" || error.kind === "unreachable");
}

class Session {
  #now: Snapshot = { user: undefined, notice: "", outage: false, confirming: false, generation: 0, announcement: "" };
  #listeners = new Set<() => void>();
  #signIns = 0; // how many there were
  #signingIn: Promise<unknown> | undefined;
  #waiting: ((signedIn: boolean) => void)[] = []; // requests that need a recent sign-in

  snapshot = (): Snapshot => this.#now;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #set(change: Partial<Snapshot>): void {
    this.#now = { ...this.#now, ...change };
    this.#listeners.forEach((listener) => listener());
  }

  announce(announcement: string): void {
    this.#set({ announcement });
  }

  /** Asks who is signed in: at the start, when the user returns to the page, and now and then. */
  async check(): Promise<void> {
    const before = this.#signIns;
    try {
      const { user } = await dataOf(api.GET("/session"));
      await this.#signingIn;
      if (before === this.#signIns) {
        this.#found(user);
      }
    } catch (error) {
      this.#interrupt(error);
    }
  }

  #found(user: User | null): void {
    const { user: known, outage, generation } = this.#now;
    if (!user) {
      this.#end(known ? ended : this.#now.notice);
      return;
    }
    const other = known?.name !== user.name;
    this.#set({ user, outage: false, notice: "", generation: other || outage ? generation + 1 : generation });
  }

  #end(notice: string): void {
    this.#set({ user: null, notice, outage: false, announcement: "" });
    this.settle(false);
  }

  /** Signs in, for the first time or again. Throws a Failure with the reason. */
  async signIn(name: string, password: string): Promise<void> {
    const signingIn = this.#signIn(name, password);
    this.#signingIn = signingIn.catch(() => undefined);
    try {
      await signingIn;
    } catch (error) {
      if (isOutage(error)) {
        this.#set({ outage: true });
      }
      throw error;
    }
  }

  async #signIn(name: string, password: string): Promise<void> {
    await dataOf(api.POST("/session", { body: { name, password } }));
    this.#signIns++;
    let user: User;
    try {
      user = await dataOf(api.GET("/me")); // says whether the browser kept the cookie
    } catch (error) {
      if (error instanceof Failure && error.kind === "ended") {
        throw new Failure("rejected", { code: "cookie_refused", detail: cookieRefused });
      }
      throw error;
    }
    const { user: known, generation } = this.#now;
    this.#set({ user, notice: "", outage: false, generation: known?.name === user.name ? generation : generation + 1 });
    this.settle(true);
  }

  async signOut(): Promise<void> {
    try {
      await dataOf(api.DELETE("/session"));
    } catch (error) {
      if (error instanceof Failure && error.kind === "unavailable") {
        this.#end(signedOutHereOnly); // the response has cleared the cookie
        return;
      }
      this.#interrupt(error);
      return;
    }
    this.#end("You are signed out.");
  }

  /**
   * Sends a request of the signed-in user. If the sign-in is too old, it asks for the password and
   * sends the request again. If it throws a Failure that is not "rejected", the page already shows
   * what happened.
   */
  async call<T>(request: () => Promise<Answer<T>>): Promise<T> {
    for (let first = true; ; first = false) {
      try {
        return await dataOf(request());
      } catch (error) {
        if (!(await this.#again(error, first))) {
          this.#interrupt(error);
          throw error;
        }
      }
    }
  }

  /** Whether to send a request again that has failed. */
  async #again(error: unknown, first: boolean): Promise<boolean> {
    const kind = error instanceof Failure ? error.kind : undefined;
    if (kind === "too-old") {
      return this.#confirm();
    }
    if (kind !== "ended" || !first) {
      return false;
    }
    // A sign-in, also one in another tab, ends the session before it, which a request on its way
    // still had. So the page asks before it says that the session has ended.
    await this.#signingIn;
    await this.check();
    return Boolean(this.#now.user) && !this.#now.outage;
  }

  #interrupt(error: unknown): void {
    if (isOutage(error)) {
      this.#set({ outage: true });
    } else if (error instanceof Failure && error.kind === "ended" && !this.#now.outage) {
      this.#end(ended);
    }
  }

  /** Resolves when the user has signed in again, to true, or has canceled. */
  #confirm(): Promise<boolean> {
    this.#set({ confirming: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Answers the requests that wait for a sign-in. */
  settle(signedIn: boolean): void {
    this.#waiting.forEach((resolve) => resolve(signedIn));
    this.#waiting = [];
    this.#set({ confirming: false });
  }

  /** Loads everything again after an outage. */
  async retry(): Promise<void> {
    await this.check();
    if (!this.#now.outage) {
      this.announce("The service is available again.");
    }
  }
}

export const session = new Session();
