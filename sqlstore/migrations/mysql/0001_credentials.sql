-- Credentials of github.com/seed-31c5bcb2/auth. Times are microseconds since 1970.
-- In expires_at 9223372036854775807 means never; in last_used_at 0 means not yet
-- used. A revoked token or secret keeps its digest and its ID until it is purged, and
-- its expires_at is the time of the revocation.
-- In networks, metadata, actor and the addresses an empty text means none.
-- Text columns are binary: every collation treats some different strings as equal,
-- at least those that differ in trailing spaces.
CREATE TABLE IF NOT EXISTS auth_credentials (
	kind           TINYINT         NOT NULL, -- 1 token, 2 session, 3 secret
	user_id        VARBINARY(255)  NOT NULL,
	id             VARBINARY(64)   NOT NULL,
	name           VARBINARY(255)  NOT NULL,
	hint           VARBINARY(64)   NOT NULL,
	scopes         VARBINARY(2048) NOT NULL,
	networks       VARBINARY(1024) NOT NULL, -- prefixes separated by spaces
	metadata       VARBINARY(8192) NOT NULL, -- lines of key=value
	digest         BINARY(32)      NOT NULL,
	sealed         VARBINARY(1024),
	created_at     BIGINT          NOT NULL,
	expires_at     BIGINT          NOT NULL,
	last_used_at   BIGINT          NOT NULL,
	created_from   VARBINARY(45)   NOT NULL, -- the address of the client
	last_used_from VARBINARY(45)   NOT NULL,
	actor          VARBINARY(255)  NOT NULL, -- of a session: the user who acts as user_id
	non_persistent TINYINT         NOT NULL, -- of a session
	superseded     TINYINT         NOT NULL,
	revoked        TINYINT         NOT NULL,
	previous       VARBINARY(64)   NOT NULL,
	current_secret VARBINARY(255), -- the user ID, in a user's current secret only
	PRIMARY KEY (kind, user_id, id),
	UNIQUE KEY auth_credentials_digest (digest),
	UNIQUE KEY auth_credentials_current_secret (current_secret),
	KEY auth_credentials_expires_at (kind, expires_at, id, user_id),
	KEY auth_credentials_unrevoked (kind, user_id, revoked, id)
) ENGINE = InnoDB;
--;
-- One row for each user and kind. Transactions that change several records lock it.
CREATE TABLE IF NOT EXISTS auth_user_locks (
	kind    TINYINT        NOT NULL,
	user_id VARBINARY(255) NOT NULL,
	changes BIGINT         NOT NULL,
	PRIMARY KEY (kind, user_id)
) ENGINE = InnoDB;
