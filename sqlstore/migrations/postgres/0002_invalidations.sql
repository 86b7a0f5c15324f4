-- Notifies the channel auth_invalidations, on which package pgnotify listens, that
-- credentials of a user have changed. The payload is the kind, a space and the user
-- ID, or "0 " if the user is not known. The channel is shared by all schemas of the
-- database: services in other schemas are notified as well, which costs their caches
-- an extra load. Last uses do not notify.
CREATE FUNCTION auth_invalidate() RETURNS trigger LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	changed record;
BEGIN
	-- All databases of the server share one queue, which any role can fill. COMMIT fails
	-- if it is full. A revocation must not: without a notification, caches learn of it
	-- within their MaxStale. Package pgnotify reports a queue that is filling.
	IF pg_notification_queue_usage() > 0.5 THEN
		RETURN NULL;
	END IF;
	IF TG_OP = 'TRUNCATE' THEN
		PERFORM pg_notify('auth_invalidations', '0 ');
		RETURN NULL;
	END IF;
	-- PostgreSQL sends duplicates within a transaction once. A payload has at most
	-- 8,000 bytes, and a revocation must not fail because of a longer one.
	FOREACH changed IN ARRAY CASE TG_OP WHEN 'UPDATE' THEN ARRAY[OLD, NEW] ELSE ARRAY[OLD] END LOOP
		PERFORM pg_notify('auth_invalidations', CASE WHEN octet_length(changed.user_id) > 1000 THEN '0 '
			ELSE changed.kind || ' ' || changed.user_id END);
	END LOOP;
	RETURN NULL;
END
$$;
--;
-- All columns except last_used_at and last_used_from.
CREATE TRIGGER auth_credentials_changed
	AFTER UPDATE OF kind, user_id, id, name, hint, scopes, networks, metadata, actor, non_persistent, digest, sealed,
		created_at, created_from, expires_at, superseded, revoked, previous, current_secret ON auth_credentials
	FOR EACH ROW WHEN (
		(OLD.kind, OLD.user_id, OLD.id, OLD.name, OLD.hint, OLD.scopes, OLD.networks, OLD.metadata, OLD.actor, OLD.non_persistent, OLD.digest,
			OLD.sealed, OLD.created_at, OLD.created_from, OLD.expires_at, OLD.superseded, OLD.revoked, OLD.previous, OLD.current_secret)
		IS DISTINCT FROM
		(NEW.kind, NEW.user_id, NEW.id, NEW.name, NEW.hint, NEW.scopes, NEW.networks, NEW.metadata, NEW.actor, NEW.non_persistent, NEW.digest,
			NEW.sealed, NEW.created_at, NEW.created_from, NEW.expires_at, NEW.superseded, NEW.revoked, NEW.previous, NEW.current_secret))
	EXECUTE FUNCTION auth_invalidate();
--;
-- Purged records had expired or were revoked before. The hour allows for clock skew.
CREATE TRIGGER auth_credentials_deleted
	AFTER DELETE ON auth_credentials
	FOR EACH ROW WHEN (OLD.revoked = 0 AND OLD.expires_at > EXTRACT(EPOCH FROM now() - INTERVAL '1 hour') * 1000000)
	EXECUTE FUNCTION auth_invalidate();
--;
CREATE TRIGGER auth_credentials_truncated
	AFTER TRUNCATE ON auth_credentials
	FOR EACH STATEMENT EXECUTE FUNCTION auth_invalidate();
--;
-- Also when logical replication applies a change, or session_replication_role is replica
-- for another reason: the caches of that database have to learn of it.
ALTER TABLE auth_credentials
	ENABLE ALWAYS TRIGGER auth_credentials_changed,
	ENABLE ALWAYS TRIGGER auth_credentials_deleted,
	ENABLE ALWAYS TRIGGER auth_credentials_truncated;
