-- Tells whoever listens on the channel auth_invalidations, as package pgnotify does,
-- that an account's credentials have changed: its kind, a space, its user ID; or
-- "0 " where nobody can say which. Services in other schemas of the database hear
-- it as well, which costs their caches a load. Last uses tell nobody.
CREATE FUNCTION auth_invalidate() RETURNS trigger LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account record;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		PERFORM pg_notify('auth_invalidations', '0 ');
		RETURN NULL;
	END IF;
	-- What is told twice in one transaction is sent once. There is room for 8,000
	-- bytes, and a revocation must not fail for want of it.
	FOREACH account IN ARRAY CASE TG_OP WHEN 'UPDATE' THEN ARRAY[OLD, NEW] ELSE ARRAY[OLD] END LOOP
		PERFORM pg_notify('auth_invalidations', CASE WHEN octet_length(account.user_id) > 1000 THEN '0 '
			ELSE account.kind || ' ' || account.user_id END);
	END LOOP;
	RETURN NULL;
END
$$;
--;
CREATE TRIGGER auth_credentials_changed
	AFTER UPDATE OF kind, user_id, id, scopes, digest, sealed, expires_at, superseded, revoked ON auth_credentials
	FOR EACH ROW WHEN (
		(OLD.kind, OLD.user_id, OLD.id, OLD.scopes, OLD.digest, OLD.sealed, OLD.expires_at, OLD.superseded, OLD.revoked)
		IS DISTINCT FROM
		(NEW.kind, NEW.user_id, NEW.id, NEW.scopes, NEW.digest, NEW.sealed, NEW.expires_at, NEW.superseded, NEW.revoked))
	EXECUTE FUNCTION auth_invalidate();
--;
-- What is purged has ended before. An hour covers a clock that is wrong.
CREATE TRIGGER auth_credentials_deleted
	AFTER DELETE ON auth_credentials
	FOR EACH ROW WHEN (OLD.revoked = 0 AND OLD.expires_at > EXTRACT(EPOCH FROM now() - INTERVAL '1 hour') * 1000000)
	EXECUTE FUNCTION auth_invalidate();
--;
CREATE TRIGGER auth_credentials_truncated
	AFTER TRUNCATE ON auth_credentials
	FOR EACH STATEMENT EXECUTE FUNCTION auth_invalidate();
