-- Credentials of github.com/seed-31c5bcb2/auth. Times are microseconds since 1970.
-- In expires_at 9223372036854775807 means never; in last_used_at 0 means not yet
-- used. A revoked token or secret keeps its digest and its ID until it is purged, and
-- its expires_at is the time of the revocation.
-- In networks, metadata, actor and the addresses an empty text means none.
-- User IDs and record IDs are compared byte by byte.
CREATE TABLE auth_credentials (
	kind           SMALLINT         NOT NULL, -- 1 token, 2 session, 3 secret
	user_id        TEXT COLLATE "C" NOT NULL,
	id             TEXT COLLATE "C" NOT NULL,
	name           TEXT             NOT NULL,
	hint           TEXT             NOT NULL,
	scopes         TEXT             NOT NULL,
	networks       TEXT             NOT NULL, -- prefixes separated by spaces
	metadata       TEXT             NOT NULL, -- lines of key=value
	digest         BYTEA            NOT NULL,
	sealed         BYTEA,
	created_at     BIGINT           NOT NULL,
	expires_at     BIGINT           NOT NULL,
	last_used_at   BIGINT           NOT NULL,
	created_from   TEXT             NOT NULL, -- the address of the client
	last_used_from TEXT             NOT NULL,
	actor          TEXT             NOT NULL, -- of a session: the user who acts as user_id
	non_persistent SMALLINT         NOT NULL, -- of a session
	superseded     SMALLINT         NOT NULL,
	revoked        SMALLINT         NOT NULL,
	previous       TEXT COLLATE "C" NOT NULL,
	current_secret TEXT COLLATE "C", -- the user ID, in a user's current secret only
	PRIMARY KEY (kind, user_id, id)
);
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
	kind    SMALLINT         NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	changes BIGINT           NOT NULL,
	PRIMARY KEY (kind, user_id)
);
