GRANT turnlog_api TO CURRENT_USER;
GRANT USAGE ON SCHEMA turnlog TO turnlog_api;
GRANT SELECT ON ALL TABLES IN SCHEMA turnlog TO turnlog_api;
