-- The role of the API: it reads, and writes nothing that the log is the truth of.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'turnlog_api') THEN
        CREATE ROLE turnlog_api NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was quicker
END
$$;
