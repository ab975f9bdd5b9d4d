-- Search is a projection of its own: it follows the archive and the read models by pos, and may lag.

CREATE TABLE turnlog.search_offsets (
    generation integer NOT NULL REFERENCES turnlog.generations ON DELETE CASCADE,
    partition integer NOT NULL,
    pos bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (generation, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE turnlog.search_offsets IS
    'Up to which place in the archive a generation can be searched. Whoever writes or removes rows of a generation''s table search locks the row of the partition first.';

CREATE TABLE turnlog.search_stale (
    generation integer NOT NULL REFERENCES turnlog.generations ON DELETE CASCADE,
    partition integer NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (generation, partition, tenant, session_id)
);
COMMENT ON TABLE turnlog.search_stale IS
    'Sessions whose rows have changed otherwise than by events that came: what is searched of them is made anew, up to the turn with seq done so far.';
ALTER TABLE turnlog.search_stale ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION turnlog.search_lag(
    of_generation integer, OUT events bigint, OUT sessions bigint, OUT seconds double precision
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT
        behind.events,
        stale.sessions,
        round(greatest(
            extract(epoch FROM now()) - behind.since_ms / 1000.0,
            extract(epoch FROM now() - stale.since),
            0
        )::numeric, 3)::double precision
    FROM (
        SELECT
            coalesce(sum(o.pos - coalesce(s.pos, 0)), 0)::bigint AS events,
            min(a.recorded_at) AS since_ms
        FROM turnlog.offsets AS o
        LEFT JOIN turnlog.search_offsets AS s
            ON s.generation = of_generation AND s.partition = o.partition
        LEFT JOIN turnlog.archive AS a
            ON a.partition = o.partition AND a.pos = coalesce(s.pos, 0) + 1
        WHERE o.pos > coalesce(s.pos, 0)
    ) AS behind
    CROSS JOIN (
        SELECT count(*) AS sessions, min(at) AS since
        FROM turnlog.search_stale
        WHERE generation = of_generation
    ) AS stale
$$;
COMMENT ON FUNCTION turnlog.search_lag IS
    'How far what is searched is behind the read models: events that are not in it yet, sessions that are made anew, and the age of the oldest of either.';
REVOKE ALL ON FUNCTION turnlog.search_lag FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turnlog.search_lag TO turnlog_api;

CREATE FUNCTION turnlog.search_scope(level text, kinds text, tenant text, name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT '(' || string_agg(
        '@' || level || kind || left(md5(tenant || E'\n' || name), 16), ' | '
    ) || ')'
    FROM regexp_split_to_table(kinds, '') AS kind
$$;
COMMENT ON FUNCTION turnlog.search_scope IS
    'The words by which the index narrows a search to a tenant, session, user, project or role; the same as scope_word in searchtext.py.';
