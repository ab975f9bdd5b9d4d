-- The one way to search a generation: search_turns, and what it is made of.

-- How many of the newest rows have to be looked at, one after the other, to meet so many that answer a
-- query; NULL when it is in few rows (not more than `common`). The planner knows the words that are
-- in many rows.
CREATE FUNCTION {g}.search_walk(wanted tsquery, most integer, common double precision)
RETURNS double precision
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    plan json;
    expected double precision;
BEGIN
    EXECUTE format(
        'EXPLAIN (FORMAT JSON) SELECT FROM {g}.search WHERE words @@ %L::tsquery', wanted
    ) INTO plan;
    expected := plan -> 0 -> 'Plan' ->> 'Plan Rows';
    IF expected <= common THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT most * c.reltuples / expected FROM pg_class AS c WHERE c.oid = '{g}.search'::regclass
    );
END
$$;

-- The newest rows that answer a query: those behind a place (at, session, seq), at most so many.
-- The index finds all rows with the words wherever they are, so it costs what there is to find. Of
-- words that are in very many rows (more than `common`) it is cheaper to look at the newest rows, one
-- after the other; at so many only (`looked_at`), and then the index is asked for the rest. In a
-- narrow search (of one user, …) the planner's guess is taken for less.
CREATE FUNCTION {g}.search_hits(
    in_tenant text,
    wanted tsquery,
    since timestamptz,
    last_at timestamptz,
    last_session text,
    last_seq bigint,
    most integer,
    common double precision,
    looked_at integer,
    narrow boolean
) RETURNS TABLE (session_id text, seq bigint, at timestamptz, words tsvector)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET enable_bitmapscan = on
SET work_mem = '16MB'
SET jit = off
AS $$
DECLARE
    found integer := 0;
BEGIN
    IF {g}.search_walk(wanted, most, common) < looked_at / (1 + 3 * narrow::integer) THEN
        RETURN QUERY
            SELECT newest.session_id, newest.seq, newest.at, newest.words
            FROM (
                SELECT s.session_id, s.seq, s.at, s.words
                FROM {g}.search AS s
                WHERE s.tenant = in_tenant AND s.at >= since
                    AND (s.at, s.session_id, s.seq) < (last_at, last_session, last_seq)
                ORDER BY s.at DESC, s.session_id DESC, s.seq DESC
                LIMIT looked_at
            ) AS newest
            WHERE newest.words @@ wanted
            LIMIT most;
        GET DIAGNOSTICS found = ROW_COUNT;
        IF found = most THEN
            RETURN;
        END IF;
        SELECT s.at, s.session_id, s.seq INTO last_at, last_session, last_seq
        FROM {g}.search AS s
        WHERE s.tenant = in_tenant AND s.at >= since
            AND (s.at, s.session_id, s.seq) < (last_at, last_session, last_seq)
        ORDER BY s.at DESC, s.session_id DESC, s.seq DESC
        OFFSET looked_at - 1 LIMIT 1;
        IF last_at IS NULL THEN
            RETURN;
        END IF;
    END IF;
    RETURN QUERY
        SELECT every.session_id, every.seq, every.at, every.words
        FROM (
            SELECT s.session_id, s.seq, s.at, s.words
            FROM {g}.search AS s
            WHERE s.words @@ wanted AND s.at >= since
                AND (s.at, s.session_id, s.seq) < (last_at, last_session, last_seq)
            OFFSET 0
        ) AS every
        ORDER BY every.at DESC, every.session_id DESC, every.seq DESC
        LIMIT most - found;
END
$$;

-- What is shown of a hit, if the reader may see it: no row for what is cleared, retracted, deleted or
-- somebody else's by now, whatever the index still says. A plain query: it becomes a part of those
-- that ask it.
CREATE FUNCTION {g}.search_shown(
    reader_tenant text,
    hit_session text,
    hit_seq bigint,
    reads_tenant boolean,
    reader_user text,
    in_user text,
    in_project text
) RETURNS TABLE (tenant text, title text, body text)
LANGUAGE sql STABLE AS $$
    SELECT s.tenant, s.title, t.body
    FROM {g}.sessions AS s
    LEFT JOIN {g}.turns AS t
        ON t.tenant = reader_tenant AND t.session_id = hit_session AND t.seq = hit_seq
        AND t.status <> 'retracted'
    WHERE s.tenant = reader_tenant AND s.session_id = hit_session
        AND NOT s.deleted AND NOT s.erased
        AND (reads_tenant OR s.user_id = reader_user OR s.visibility = 'tenant')
        AND (in_user IS NULL OR s.user_id = in_user)
        AND (in_project IS NULL OR s.project = in_project)
        AND CASE WHEN hit_seq = 0 THEN s.title IS NOT NULL
            ELSE hit_seq > s.floor AND t.body IS NOT NULL
        END
$$;

-- Search, for whoever the transaction says is reading (generation_guard.sql tells how). It runs with
-- the rights of the tables' owner, because under a policy the index of words is not used; so it looks
-- at tenant, user and visibility itself, for every row that it answers with.
--     wanted        a tsquery (searchquery.py makes it); NULL finds nothing
--     kinds         letters of the kinds of text (searchtext.py)
--     ranked        by rank, else the newest first
--     last_…        the place to go on behind
--     candidates    at most so many hits are ranked, the newest ones
--     common        more rows than these are many
--     looked_at     rows to look at one after the other, at most
-- Answers with at most in_limit rows; body is the turn, NULL for a title. horizon: when there were
-- more hits than are ranked, the time before which none was; the next page gives it as since.
CREATE FUNCTION {g}.search_turns(
    wanted text,
    kinds text,
    in_session text,
    in_user text,
    in_project text,
    in_role text,
    since timestamptz,
    until timestamptz,
    ranked boolean,
    last_rank real,
    last_at timestamptz,
    last_session text,
    last_seq bigint,
    in_limit integer,
    candidates integer,
    common double precision,
    looked_at integer
) RETURNS TABLE (
    session_id text,
    seq bigint,
    at timestamptz,
    rank real,
    title text,
    body text,
    horizon timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    reads text := current_setting('turnlog.reads', true);
    reader_tenant text := current_setting('turnlog.tenant', true);
    reader_user text;
    scope text;
    words_wanted tsquery := wanted::tsquery;
    all_wanted tsquery;
    hit record;
    most integer := in_limit + 20;
    looked integer;
    answered integer := 0;
    narrow boolean := reads = 'user' OR in_session IS NOT NULL OR in_user IS NOT NULL
        OR in_project IS NOT NULL;
BEGIN
    IF reads = 'tenant' THEN
        scope := turnlog.search_scope('t', kinds, reader_tenant, '');
    ELSIF reads = 'user' THEN
        reader_user := current_setting('turnlog.user', true);
        scope := '(' || turnlog.search_scope('u', kinds, reader_tenant, reader_user)
            || ' | ' || turnlog.search_scope('v', kinds, reader_tenant, '') || ')';
    END IF;
    IF scope IS NULL OR coalesce(numnode(words_wanted), 0) = 0 THEN
        RETURN;
    END IF;
    all_wanted := words_wanted && (
        scope
        || coalesce(' & ' || turnlog.search_scope('s', kinds, reader_tenant, in_session), '')
        || coalesce(' & ' || turnlog.search_scope('u', kinds, reader_tenant, in_user), '')
        || coalesce(' & ' || turnlog.search_scope('p', kinds, reader_tenant, in_project), '')
        || coalesce(' & ' || turnlog.search_scope('r', kinds, reader_tenant, in_role), '')
    )::tsquery;
    since := coalesce(since, '-infinity');
    until := coalesce(until, 'infinity');
    -- Both queries answer in the order of their subquery: nothing but nested loops is allowed.
    IF ranked THEN
        FOR hit IN
            SELECT best.*, shown.*
            FROM (
                SELECT f.*
                FROM (
                    SELECT
                        h.session_id, h.seq, h.at, ts_rank(h.words, words_wanted, 8) AS rank,
                        CASE WHEN count(*) OVER () >= candidates THEN min(h.at) OVER () END
                            AS horizon
                    FROM {g}.search_hits(
                        reader_tenant, all_wanted, since, until, '', -1, candidates, common,
                        looked_at, narrow
                    ) AS h
                ) AS f
                WHERE last_rank IS NULL
                    OR (f.rank, f.at, f.session_id, f.seq)
                        < (last_rank, last_at, last_session, last_seq)
                ORDER BY f.rank DESC, f.at DESC, f.session_id DESC, f.seq DESC
            ) AS best
            CROSS JOIN LATERAL {g}.search_shown(
                reader_tenant, best.session_id, best.seq, reads = 'tenant', reader_user, in_user,
                in_project
            ) AS shown
            LIMIT in_limit
        LOOP
            session_id := hit.session_id;
            seq := hit.seq;
            at := hit.at;
            rank := hit.rank;
            title := hit.title;
            body := hit.body;
            horizon := hit.horizon;
            RETURN NEXT;
        END LOOP;
        RETURN;
    END IF;
    last_at := coalesce(last_at, until);
    last_session := coalesce(last_session, '');
    last_seq := coalesce(last_seq, -1);
    LOOP
        looked := 0;
        FOR hit IN
            SELECT f.session_id, f.seq, f.at, f.words, shown.title, shown.body,
                shown.tenant IS NOT NULL AS shown
            FROM {g}.search_hits(
                reader_tenant, all_wanted, since, last_at, last_session, last_seq, most, common,
                looked_at, narrow
            ) AS f
            LEFT JOIN LATERAL {g}.search_shown(
                reader_tenant, f.session_id, f.seq, reads = 'tenant', reader_user, in_user,
                in_project
            ) AS shown
                ON true
        LOOP
            looked := looked + 1;
            session_id := hit.session_id;
            seq := hit.seq;
            at := hit.at;
            IF hit.shown THEN
                rank := ts_rank(hit.words, words_wanted, 8);
                title := hit.title;
                body := hit.body;
                RETURN NEXT;
                answered := answered + 1;
                EXIT WHEN answered = in_limit;
            END IF;
        END LOOP;
        EXIT WHEN answered = in_limit OR looked < most;
        last_at := at;
        last_session := session_id;
        last_seq := seq;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION
    {g}.search_walk,
    {g}.search_hits,
    {g}.search_shown,
    {g}.search_turns
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {g}.search_turns TO turnlog_api;
