-- Exports asked for by way of the API: jobs, and the pieces of their files.

CREATE TABLE turnlog.exports (
    export_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C",
    requested_by text NOT NULL,
    request_key text UNIQUE,
    options text NOT NULL,
    format text NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'done', 'failed', 'expired')),
    attempts integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    requested_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    expires_at timestamptz,
    checked_at timestamptz,
    sessions bigint NOT NULL DEFAULT 0,
    total_sessions bigint NOT NULL DEFAULT 0,
    missing bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    error text
);
CREATE INDEX exports_of_tenant ON turnlog.exports (tenant, export_id);
CREATE INDEX exports_under_way ON turnlog.exports (export_id) WHERE state IN ('waiting', 'running');
COMMENT ON TABLE turnlog.exports IS
    'Exports asked for by way of the API: waiting -> running -> done, failed; done -> expired. owner is the user who may see it (null: those who read the whole tenant). Whoever runs one holds a lease; attempts tells whose pieces count. checked_at: up to then the file was compared with what was erased.';

CREATE TABLE turnlog.export_chunks (
    export_id text COLLATE "C" NOT NULL REFERENCES turnlog.exports ON DELETE CASCADE,
    attempt integer NOT NULL,
    part bigint NOT NULL,
    session_ids text[] NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (export_id, attempt, part)
);
ALTER TABLE turnlog.export_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL; -- compressed already
COMMENT ON TABLE turnlog.export_chunks IS
    'Files of exports in parts of one MiB (the last may be smaller), each compressed with zstd. session_ids: whose text is in it, so that an erasure finds it.';

CREATE INDEX erasures_by_time ON turnlog.erasures (tenant, at);

-- A reader sees and changes the exports that they own, or all of the tenant that they read.
ALTER TABLE turnlog.exports ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_scope ON turnlog.exports TO turnlog_api USING (
    tenant = (SELECT current_setting('turnlog.tenant', true))
    AND CASE (SELECT current_setting('turnlog.reads', true))
        WHEN 'user' THEN owner = (SELECT current_setting('turnlog.user', true))
        ELSE (SELECT current_setting('turnlog.reads', true)) = 'tenant'
    END
);
ALTER TABLE turnlog.export_chunks ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_scope ON turnlog.export_chunks TO turnlog_api USING (
    EXISTS (SELECT FROM turnlog.exports AS e WHERE e.export_id = export_chunks.export_id)
);

CREATE FUNCTION turnlog.exports_due(
    OUT wanted boolean, OUT stale boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT
        EXISTS (
            SELECT FROM turnlog.exports
            WHERE state = 'waiting' OR (state = 'running' AND lease_until < now())
        ),
        EXISTS (
            SELECT FROM turnlog.exports
            WHERE state IN ('done', 'failed', 'expired') AND (
                expires_at < now() OR (state = 'done' AND checked_at < now() - interval '10 s')
            )
        )
$$;
COMMENT ON FUNCTION turnlog.exports_due IS
    'Whether an export of any tenant waits for somebody to run it, and whether some are to be swept.';

CREATE FUNCTION turnlog.claim_export(lease interval, most_attempts integer)
RETURNS SETOF turnlog.exports
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    oldest turnlog.exports;
BEGIN
    LOOP
        SELECT * INTO oldest FROM turnlog.exports
        WHERE state = 'waiting' OR (state = 'running' AND lease_until < now())
        ORDER BY export_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        DELETE FROM turnlog.export_chunks AS c WHERE c.export_id = oldest.export_id;
        IF oldest.attempts < most_attempts THEN
            RETURN QUERY
                UPDATE turnlog.exports AS e SET
                    state = 'running', attempts = attempts + 1, started_at = now(),
                    lease_until = now() + lease, sessions = 0, total_sessions = 0, missing = 0,
                    done = 0, total = 0, bytes = 0
                WHERE e.export_id = oldest.export_id
                RETURNING e.*;
            RETURN;
        END IF;
        UPDATE turnlog.exports AS e SET
            state = 'failed', ended_at = now(), expires_at = now() + interval '1 day', bytes = 0,
            error = format('its process died %s times: see the log of the API', e.attempts)
        WHERE e.export_id = oldest.export_id;
    END LOOP;
END
$$;
COMMENT ON FUNCTION turnlog.claim_export IS
    'Take the export that has waited longest, of any tenant, or one whose runner is gone; nothing of an earlier attempt is left.';

CREATE FUNCTION turnlog.sweep_exports() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    swept bigint;
BEGIN
    WITH spoiled AS (
        SELECT DISTINCT e.export_id
        FROM turnlog.exports AS e
        JOIN turnlog.erasures AS r
            -- What a long transaction has erased shows later than its time tells.
            ON r.tenant = e.tenant AND r.at > e.checked_at - interval '1 minute'
        JOIN turnlog.export_chunks AS c
            ON c.export_id = e.export_id AND r.session_id = ANY (c.session_ids)
        WHERE e.state = 'done'
    ), checked AS (
        UPDATE turnlog.exports AS e SET checked_at = now()
        WHERE state = 'done' AND expires_at >= now()
            AND export_id NOT IN (SELECT export_id FROM spoiled)
    ), ended AS (
        UPDATE turnlog.exports AS e SET
            state = 'expired', bytes = 0, expires_at = now() + interval '7 days',
            error = CASE WHEN e.expires_at >= now()
                THEN 'something that it held was erased since: ask for a new one' END
        WHERE state = 'done'
            AND (expires_at < now() OR export_id IN (SELECT export_id FROM spoiled))
        RETURNING export_id
    ), chunks AS (
        DELETE FROM turnlog.export_chunks AS c USING ended WHERE c.export_id = ended.export_id
    ), removed AS (
        DELETE FROM turnlog.exports
        WHERE state IN ('failed', 'expired') AND expires_at < now()
        RETURNING export_id
    )
    SELECT (SELECT count(*) FROM ended) + (SELECT count(*) FROM removed) INTO swept;
    RETURN swept;
END
$$;
COMMENT ON FUNCTION turnlog.sweep_exports IS
    'Remove files that have expired, or hold what was erased since, and old rows without a file.';

REVOKE ALL ON FUNCTION turnlog.exports_due, turnlog.claim_export, turnlog.sweep_exports FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turnlog.exports_due, turnlog.claim_export, turnlog.sweep_exports
    TO turnlog_api;
