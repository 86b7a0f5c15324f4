-- Credentials of github.com/seed-31c5bcb2/auth. Times are microseconds since
-- 1970; 9223372036854775807 is never, and 0 in last_used_at is not yet. A record
-- that was revoked keeps its digest, and expires_at is then when that was.
CREATE TABLE auth_credentials (
	kind           INTEGER NOT NULL, -- 1 token, 2 session, 3 secret
	user_id        TEXT    NOT NULL,
	id             TEXT    NOT NULL,
	name           TEXT    NOT NULL,
	hint           TEXT    NOT NULL,
	scopes         TEXT    NOT NULL,
	digest         BLOB    NOT NULL,
	sealed         BLOB,
	created_at     INTEGER NOT NULL,
	expires_at     INTEGER NOT NULL,
	last_used_at   INTEGER NOT NULL,
	superseded     INTEGER NOT NULL,
	revoked        INTEGER NOT NULL,
	previous       TEXT    NOT NULL,
	current_secret TEXT, -- the user's ID in the one secret that is current
	PRIMARY KEY (kind, user_id, id)
) WITHOUT ROWID;
--;
CREATE UNIQUE INDEX auth_credentials_digest ON auth_credentials (digest);
--;
CREATE UNIQUE INDEX auth_credentials_current_secret ON auth_credentials (current_secret);
--;
CREATE INDEX auth_credentials_expires_at ON auth_credentials (expires_at);
--;
-- A row for each account and kind, which whoever changes several records locks.
CREATE TABLE auth_accounts (
	kind    INTEGER NOT NULL,
	user_id TEXT    NOT NULL,
	changes INTEGER NOT NULL,
	PRIMARY KEY (kind, user_id)
) WITHOUT ROWID;
