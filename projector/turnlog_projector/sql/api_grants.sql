GRANT turnlog_api TO CURRENT_USER;
GRANT USAGE ON SCHEMA turnlog TO turnlog_api;
GRANT SELECT ON ALL TABLES IN SCHEMA turnlog TO turnlog_api;
-- What it may ask for: a projector does it.
GRANT INSERT (request_key, requested_by, options), UPDATE (cancel) ON turnlog.rebuilds TO turnlog_api;
-- Exports are of no log: the API keeps them itself, each reader their own.
GRANT
    INSERT (export_id, tenant, owner, requested_by, request_key, options, format),
    UPDATE (
        state, lease_until, attempts, ended_at, expires_at, checked_at, sessions, total_sessions, missing,
        done, total, bytes, error
    ),
    DELETE
    ON turnlog.exports TO turnlog_api;
GRANT INSERT, DELETE ON turnlog.export_chunks TO turnlog_api;
