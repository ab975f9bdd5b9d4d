GRANT turnlog_api TO CURRENT_USER;
GRANT USAGE ON SCHEMA turnlog TO turnlog_api;
GRANT SELECT ON ALL TABLES IN SCHEMA turnlog TO turnlog_api;
-- What it may ask for: a projector does it.
GRANT INSERT (request_key, requested_by, options), UPDATE (cancel) ON turnlog.rebuilds TO turnlog_api;
