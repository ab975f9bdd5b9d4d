-- What the role of the API sees of the durable tables that hold people's content or name their
-- sessions, whatever it asks. A transaction says who reads, as sql/generation_guard.sql describes;
-- a reader who is a user sees nothing here: whoever shows a user the log of a session first finds
-- out that they may see it, and then reads as turnlog.reads = session.

DO $$
DECLARE
    found regclass;
BEGIN
    FOREACH found IN ARRAY ARRAY[
        'turnlog.archive', 'turnlog.heads', 'turnlog.parked', 'turnlog.healings', 'turnlog.erasures'
    ]::regclass[]
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', found);
        EXECUTE format(
            'CREATE POLICY read_by_scope ON %s FOR SELECT TO turnlog_api USING (
                tenant = (SELECT current_setting(''turnlog.tenant'', true))
                AND CASE (SELECT current_setting(''turnlog.reads'', true))
                    WHEN ''session'' THEN
                        session_id = (SELECT current_setting(''turnlog.session'', true))
                    ELSE (SELECT current_setting(''turnlog.reads'', true)) = ''tenant''
                END
            )',
            found
        );
    END LOOP;
END
$$;

CREATE FUNCTION turnlog.totals(
    OUT parked bigint, OUT skipped bigint, OUT healings bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT
        (SELECT count(*) FROM turnlog.parked WHERE state = 'parked'),
        (SELECT count(*) FROM turnlog.parked WHERE state = 'skipped'),
        (SELECT count(*) FROM turnlog.healings)
$$;
COMMENT ON FUNCTION turnlog.totals IS
    'What operators count over all tenants; the policies show the rows to nobody but their tenant.';
REVOKE ALL ON FUNCTION turnlog.totals FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turnlog.totals TO turnlog_api;
