-- What the role of the API sees of one generation, whatever it asks: policies behind the conditions
-- that its statements have anyway. They go by what the transaction says of its reader:
--     turnlog.reads    user: what turnlog.user may see of turnlog.tenant; tenant: all of the tenant;
--                      session: turnlog.session of the tenant, whoever's it is. Else: nothing.
--     turnlog.session  the session that a statement is about, if it is about one
-- The owner of the tables, who projects, is not bound by them.

-- The session that the statement is about, if its reader may see it: a row of that session passes by
-- one comparison. SECURITY DEFINER: else the policy of sessions would be planned into every query.
CREATE OR REPLACE FUNCTION {g}.named_session() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    named text := current_setting('turnlog.session', true);
BEGIN
    IF current_setting('turnlog.reads', true) = 'session' THEN
        RETURN named;
    END IF;
    RETURN (SELECT named WHERE {g}.sees(named));
END
$$;

-- Whether the reader may see a session: for statements about several.
CREATE OR REPLACE FUNCTION {g}.sees(wanted text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN current_setting('turnlog.reads', true) = 'user' AND EXISTS (
        SELECT FROM {g}.sessions AS s
        WHERE s.tenant = current_setting('turnlog.tenant', true)
            AND s.session_id = wanted
            AND (s.user_id = current_setting('turnlog.user', true) OR s.visibility = 'tenant')
    );
END
$$;

-- How far some sessions of any tenants are projected (0: not at all): one question for all who wait.
CREATE OR REPLACE FUNCTION {g}.projected(tenants text[], session_ids text[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN ARRAY(
        SELECT coalesce(s.seq, 0)
        FROM unnest(tenants, session_ids) WITH ORDINALITY AS k (tenant, session_id, place)
        LEFT JOIN {g}.sessions AS s ON s.tenant = k.tenant AND s.session_id = k.session_id
        ORDER BY k.place
    );
END
$$;

REVOKE ALL ON FUNCTION {g}.named_session(), {g}.sees(text), {g}.projected(text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {g}.named_session(), {g}.sees(text), {g}.projected(text[], text[])
    TO turnlog_api;

DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.oid::regclass AS name, c.relname = 'sessions' AS is_sessions
        FROM pg_class AS c
        WHERE c.relnamespace = '{g}'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', found.name);
        EXECUTE format('DROP POLICY IF EXISTS read_by_scope ON %s', found.name);
        -- Each (SELECT …) is looked up once a statement.
        EXECUTE format(
            'CREATE POLICY read_by_scope ON %s FOR SELECT TO turnlog_api USING (
                tenant = (SELECT current_setting(''turnlog.tenant'', true)) AND %s
            )',
            found.name,
            CASE WHEN found.is_sessions THEN
                'CASE (SELECT current_setting(''turnlog.reads'', true))
                    WHEN ''user'' THEN
                        user_id = (SELECT current_setting(''turnlog.user'', true))
                        OR visibility = ''tenant''
                    WHEN ''session'' THEN
                        session_id = (SELECT current_setting(''turnlog.session'', true))
                    ELSE (SELECT current_setting(''turnlog.reads'', true)) = ''tenant''
                END'
            ELSE
                '(
                    session_id = (SELECT {g}.named_session())
                    OR (SELECT current_setting(''turnlog.reads'', true)) = ''tenant''
                    OR {g}.sees(session_id)
                )'
            END
        );
    END LOOP;
END
$$;
