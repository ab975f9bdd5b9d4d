-- A page of what is found, and one more, with how far search is behind; one row without a hit when
-- there is none. The function looks at who is reading by itself.
SELECT
    a.generation,
    lag.events,
    lag.sessions,
    lag.seconds,
    found.session_id,
    found.seq,
    found.at,
    found.rank,
    found.title,
    found.body,
    found.horizon
FROM turnlog.active AS a
CROSS JOIN LATERAL turnlog.search_lag(a.generation) AS lag
LEFT JOIN LATERAL {g}.search_turns(
    %(wanted)s::text,
    %(kinds)s::text,
    %(in_session)s::text,
    %(user_id)s::text,
    %(project)s::text,
    %(role)s::text,
    %(since)s::timestamptz,
    %(until)s::timestamptz,
    %(ranked)s::boolean,
    %(last_rank)s::real,
    %(last_at)s::timestamptz,
    %(last_session)s::text,
    %(last_seq)s::bigint,
    %(limit)s::integer + 1,
    %(candidates)s::integer,
    %(common)s::double precision,
    %(looked_at)s::integer
) AS found
    ON true
WHERE a.only_row
