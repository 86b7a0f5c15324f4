-- Credentials of github.com/seed-31c5bcb2/auth. Times are microseconds since
-- 1970; 9223372036854775807 is never, and 0 in last_used_at is not yet. A record
-- that was revoked keeps its digest, and expires_at is then when that was.
-- Text is kept as bytes: every collation here takes some strings that differ,
-- in trailing spaces at the least, for the same.
CREATE TABLE IF NOT EXISTS auth_credentials (
	kind           TINYINT         NOT NULL, -- 1 token, 2 session, 3 secret
	user_id        VARBINARY(255)  NOT NULL,
	id             VARBINARY(64)   NOT NULL,
	name           VARBINARY(255)  NOT NULL,
	hint           VARBINARY(64)   NOT NULL,
	scopes         VARBINARY(2048) NOT NULL,
	digest         BINARY(32)      NOT NULL,
	sealed         VARBINARY(1024),
	created_at     BIGINT          NOT NULL,
	expires_at     BIGINT          NOT NULL,
	last_used_at   BIGINT          NOT NULL,
	superseded     TINYINT         NOT NULL,
	revoked        TINYINT         NOT NULL,
	previous       VARBINARY(64)   NOT NULL,
	current_secret VARBINARY(255), -- the user's ID in the one secret that is current
	PRIMARY KEY (kind, user_id, id),
	UNIQUE KEY auth_credentials_digest (digest),
	UNIQUE KEY auth_credentials_current_secret (current_secret),
	KEY auth_credentials_expires_at (expires_at)
) ENGINE = InnoDB;
--;
-- A row for each account and kind, which whoever changes several records locks.
CREATE TABLE IF NOT EXISTS auth_accounts (
	kind    TINYINT        NOT NULL,
	user_id VARBINARY(255) NOT NULL,
	changes BIGINT         NOT NULL,
	PRIMARY KEY (kind, user_id)
) ENGINE = InnoDB;
