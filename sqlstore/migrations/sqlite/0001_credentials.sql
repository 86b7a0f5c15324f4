-- Credentials of github.com/seed-31c5bcb2/auth. Times are microseconds since 1970.
-- In expires_at 9223372036854775807 means never; in last_used_at 0 means not yet
-- used. A revoked token or secret keeps its digest and its ID until it is purged, and
-- its expires_at is the time of the revocation.
-- In networks, metadata, actor and the addresses an empty text means none.
CREATE TABLE auth_credentials (
	kind           INTEGER NOT NULL, -- 1 token, 2 session, 3 secret
	user_id        TEXT    NOT NULL,
	id             TEXT    NOT NULL,
	name           TEXT    NOT NULL,
	hint           TEXT    NOT NULL,
	scopes         TEXT    NOT NULL,
	networks       TEXT    NOT NULL, -- prefixes separated by spaces
	metadata       TEXT    NOT NULL, -- lines of key=value
	digest         BLOB    NOT NULL,
	sealed         BLOB,
	created_at     INTEGER NOT NULL,
	expires_at     INTEGER NOT NULL,
	last_used_at   INTEGER NOT NULL,
	created_from   TEXT    NOT NULL, -- the address of the client
	last_used_from TEXT    NOT NULL,
	actor          TEXT    NOT NULL, -- of a session: the user who acts as user_id
	non_persistent INTEGER NOT NULL, -- of a session
	superseded     INTEGER NOT NULL,
	revoked        INTEGER NOT NULL,
	previous       TEXT    NOT NULL,
	current_secret TEXT, -- the user ID, in a user's current secret only
	PRIMARY KEY (kind, user_id, id)
) WITHOUT ROWID;
--;
CREATE UNIQUE INDEX auth_credentials_digest ON auth_credentials (digest);
--;
CREATE UNIQUE INDEX auth_credentials_current_secret ON auth_credentials (current_secret) WHERE current_secret IS NOT NULL;
--;
CREATE INDEX auth_credentials_expires_at ON auth_credentials (kind, expires_at, id, user_id);
--;
-- However many records a user has revoked, statements do not read them.
CREATE INDEX auth_credentials_unrevoked ON auth_credentials (kind, user_id, id) WHERE revoked = 0;
--;
-- One row for each user and kind. Transactions that change several records lock it.
CREATE TABLE auth_user_locks (
	kind    INTEGER NOT NULL,
	user_id TEXT    NOT NULL,
	changes INTEGER NOT NULL,
	PRIMARY KEY (kind, user_id)
) WITHOUT ROWID;
