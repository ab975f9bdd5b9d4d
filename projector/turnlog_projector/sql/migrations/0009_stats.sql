-- Statistics. Turns get what they go by as columns; generations that are there already get them
-- filled from the JSON of their turns, by the rules of figures.py.

CREATE FUNCTION pg_temp.count_of(value json) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF json_typeof(value) = 'number' AND value::text ~ '^[0-9]{1,16}$' AND value::text::bigint <= 2^53
    THEN
        RETURN value::text::bigint;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION pg_temp.figures(
    body text,
    OUT model text,
    OUT input_tokens bigint,
    OUT output_tokens bigint,
    OUT counters text,
    OUT counts bigint[],
    OUT response_us bigint,
    OUT ratings text
)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    turn json;
    usage json;
    annotations json;
BEGIN
    -- U+0000 is the one escape that JSON may hold and text may not.
    turn := CASE
        WHEN strpos(body, '\u0000') > 0
        THEN regexp_replace(body, '(?<!\\)((?:\\\\)*)\\u0000', '\1\ufffd', 'g')
        ELSE body
    END;
    SELECT left(r.model, 128), r.usage, r.response_time_ms * 1000, r.annotations
    INTO model, usage, response_us, annotations
    FROM json_to_record(turn) AS r (
        model text, usage json, response_time_ms double precision, annotations json
    );
    IF json_typeof(usage) = 'object' THEN
        input_tokens := pg_temp.count_of(usage -> 'input_tokens');
        output_tokens := pg_temp.count_of(usage -> 'output_tokens');
        SELECT
            string_agg(further.key, ',' ORDER BY further.place),
            array_agg(further.count ORDER BY further.place)
        INTO counters, counts
        FROM (
            SELECT e.key, pg_temp.count_of(e.value) AS count, e.place
            FROM json_each(usage) WITH ORDINALITY AS e (key, value, place)
            WHERE e.key NOT IN ('input_tokens', 'output_tokens')
                AND e.key ~ '^[A-Za-z0-9_.-]{1,64}$'
                AND pg_temp.count_of(e.value) IS NOT NULL
            ORDER BY e.place
            LIMIT 8
        ) AS further;
    END IF;
    IF annotations::text = '[]' THEN
        RETURN;
    END IF;
    SELECT string_agg(each.value, ',' ORDER BY each.place)
    INTO ratings
    FROM (
        SELECT a.item ->> 'value' AS value, a.place
        FROM json_array_elements(annotations) WITH ORDINALITY AS a (item, place)
        WHERE a.item ->> 'kind' = 'rating'
    ) AS each
    WHERE each.value IN ('true', 'false') OR each.value::double precision BETWEEN -2^53 AND 2^53;
END
$$;

DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT
            n.nspname AS generation,
            EXISTS (
                SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p'
            ) AS indexed
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname ~ '^g[0-9]+$' AND c.relname = 'turns' AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format(
            'ALTER TABLE %I.turns
                ADD COLUMN model text COLLATE "C",
                ADD COLUMN input_tokens bigint,
                ADD COLUMN output_tokens bigint,
                ADD COLUMN counters text COLLATE "C",
                ADD COLUMN counts bigint[],
                ADD COLUMN response_us bigint,
                ADD COLUMN ratings text COLLATE "C"',
            found.generation
        );
        EXECUTE format(
            'UPDATE %1$I.turns AS t
            SET model = f.model,
                input_tokens = f.input_tokens,
                output_tokens = f.output_tokens,
                counters = f.counters,
                counts = f.counts,
                response_us = f.response_us,
                ratings = f.ratings
            FROM %1$I.turns AS same
            CROSS JOIN LATERAL pg_temp.figures(same.body) AS f
            WHERE t.ctid = same.ctid AND NOT f IS NULL',
            found.generation
        );
        CONTINUE WHEN NOT found.indexed; -- it is being built, and gets its indexes at the end
        EXECUTE format(
            'CREATE INDEX turns_by_time ON %1$I.turns (tenant, at) INCLUDE (
                session_id, seq, role, status, model, input_tokens, output_tokens, counters, counts,
                response_us
            );
            CREATE INDEX turns_rated ON %1$I.turns (tenant, at) WHERE ratings IS NOT NULL',
            found.generation
        );
    END LOOP;
END
$$;

DROP FUNCTION pg_temp.figures, pg_temp.count_of;

CREATE FUNCTION turnlog.stats(
    of_generation integer,
    starts timestamptz[],
    ends timestamptz,
    days text[],
    in_user text,
    in_project text,
    in_session text
) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = on
SET max_parallel_workers_per_gather = 0
SET work_mem = '32MB'
SET jit = off
AS $function$
DECLARE
    reads text := current_setting('turnlog.reads', true);
    answer text;
BEGIN
    IF reads IS NULL OR reads NOT IN ('tenant', 'user') THEN
        RETURN NULL;
    END IF;
    -- Planned each time, for the range and the reader that are asked for.
    EXECUTE replace($query$
        WITH seen AS MATERIALIZED (
            SELECT row_number() OVER () AS n, s.session_id, s.user_id, s.floor
            FROM {g}.sessions AS s
            WHERE s.tenant = $4
                AND NOT s.deleted
                AND NOT s.erased
                AND s.updated_at >= $1[1] -- no turn of a session is later than that
                AND ($9 OR s.user_id = $5 OR s.visibility = 'tenant')
                AND ($6 IS NULL OR s.user_id = $6)
                AND ($7 IS NULL OR s.project = $7)
                AND ($8 IS NULL OR s.session_id = $8)
        ),
        counted AS NOT MATERIALIZED (
            SELECT
                width_bucket(t.at, $1) AS day,
                s.n,
                t.seq > s.floor AND t.status <> 'retracted' AS shown,
                t.role, t.model, t.input_tokens, t.output_tokens, t.counters, t.counts, t.response_us
            FROM seen AS s
            JOIN {g}.turns AS t ON t.tenant = $4 AND t.session_id = s.session_id
            WHERE t.at >= $1[1] AND t.at < $2
        ),
        -- From here on day 0 is the whole range.
        present AS MATERIALIZED (
            SELECT day, role, n, count(*) AS turns FROM counted WHERE shown GROUP BY day, role, n
        ),
        roles AS (
            SELECT r.day, sum(r.turns) AS turns, json_object_agg(r.role, r.turns ORDER BY r.role) AS by_role
            FROM (
                SELECT coalesce(day, 0) AS day, role, sum(turns) AS turns
                FROM present
                GROUP BY GROUPING SETS ((day, role), (role))
            ) AS r
            GROUP BY r.day
        ),
        active AS (
            SELECT
                coalesce(p.day, 0) AS day,
                count(DISTINCT p.n) AS sessions,
                count(DISTINCT s.user_id) AS users
            FROM present AS p
            JOIN seen AS s USING (n)
            GROUP BY GROUPING SETS ((p.day), ())
        ),
        -- Counters by their place: turns mostly have the same ones, so their names are looked at
        -- once for many.
        spent AS MATERIALIZED (
            SELECT
                day, model, counters,
                count(*) FILTER (WHERE shown) AS turns,
                sum(input_tokens) AS input_tokens,
                sum(output_tokens) AS output_tokens,
                ARRAY[
                    sum(counts[1]), sum(counts[2]), sum(counts[3]), sum(counts[4]),
                    sum(counts[5]), sum(counts[6]), sum(counts[7]), sum(counts[8])
                ] AS counts
            FROM counted
            WHERE model IS NOT NULL OR input_tokens IS NOT NULL OR output_tokens IS NOT NULL
                OR counters IS NOT NULL
            GROUP BY day, model, counters
        ),
        tokens AS MATERIALIZED (
            SELECT
                coalesce(s.day, 0) AS day,
                grouping(s.model) AS of_all,
                s.model, t.place, t.name,
                sum(t.tokens) AS tokens
            FROM spent AS s
            CROSS JOIN LATERAL (
                SELECT 1 AS place, 'input_tokens' AS name, s.input_tokens AS tokens
                UNION ALL SELECT 2, 'output_tokens', s.output_tokens
                UNION ALL SELECT 3, c.name, c.tokens
                    FROM unnest(string_to_array(s.counters, ','), s.counts) AS c (name, tokens)
            ) AS t
            WHERE t.tokens IS NOT NULL
            GROUP BY GROUPING SETS (
                (s.day, s.model, t.place, t.name), (s.model, t.place, t.name),
                (s.day, t.place, t.name), (t.place, t.name)
            )
        ),
        usage AS MATERIALIZED (
            SELECT day, of_all, model, json_object_agg(name, tokens ORDER BY place, name) AS usage
            FROM tokens
            GROUP BY day, of_all, model
        ),
        models AS (
            SELECT
                m.day,
                json_agg(
                    json_build_object(
                        'model', m.model, 'turns', m.turns, 'usage', coalesce(u.usage, '{}'::json)
                    )
                    ORDER BY m.model
                ) AS by_model
            FROM (
                SELECT coalesce(day, 0) AS day, model, sum(turns) AS turns
                FROM spent
                GROUP BY GROUPING SETS ((day, model), (model))
            ) AS m
            LEFT JOIN usage AS u
                ON u.day = m.day AND u.of_all = 0 AND u.model IS NOT DISTINCT FROM m.model
            GROUP BY m.day
        ),
        times AS (
            SELECT
                coalesce(day, 0) AS day,
                count(*) AS turns,
                percentile_disc('{0.5,0.95,0.99}'::float8[]) WITHIN GROUP (ORDER BY response_us) AS p
            FROM counted
            WHERE shown AND response_us IS NOT NULL
            GROUP BY GROUPING SETS ((day), ())
        ),
        rated AS (
            SELECT
                r.day,
                sum(r.ratings) AS ratings,
                sum(r.value * r.ratings) / sum(r.ratings) AS average,
                json_agg(
                    json_build_object('value', r.value, 'count', r.ratings) ORDER BY r.value
                ) AS by_value
            FROM (
                SELECT coalesce(o.day, 0) AS day, o.value, count(*) AS ratings
                FROM (
                    SELECT
                        width_bucket(t.at, $1) AS day,
                        CASE v.value WHEN 'true' THEN 1 WHEN 'false' THEN 0
                            ELSE v.value::double precision
                        END AS value
                    FROM seen AS s
                    JOIN {g}.turns AS t ON t.tenant = $4 AND t.session_id = s.session_id
                    CROSS JOIN LATERAL string_to_table(t.ratings, ',') AS v (value)
                    WHERE t.at >= $1[1] AND t.at < $2
                        AND t.ratings IS NOT NULL
                        AND t.seq > s.floor AND t.status <> 'retracted'
                ) AS o
                GROUP BY GROUPING SETS ((o.day, o.value), (o.value))
            ) AS r
            GROUP BY r.day
        ),
        figures AS (
            SELECT
                d.day,
                CASE WHEN d.day > 0 THEN json_build_object('day', d.name) END AS named,
                json_build_object(
                    'turns', coalesce(roles.turns, 0),
                    'by_role', coalesce(roles.by_role, '{}'::json),
                    'active_sessions', coalesce(active.sessions, 0),
                    'active_users', coalesce(active.users, 0),
                    'usage', coalesce(usage.usage, '{}'::json),
                    'by_model', coalesce(models.by_model, '[]'::json),
                    'response_time_ms', json_build_object(
                        'count', coalesce(times.turns, 0),
                        'p50', times.p[1] / 1000.0::float8,
                        'p95', times.p[2] / 1000.0::float8,
                        'p99', times.p[3] / 1000.0::float8
                    ),
                    'ratings', json_build_object(
                        'count', coalesce(rated.ratings, 0),
                        'average', rated.average,
                        'by_value', coalesce(rated.by_value, '[]'::json)
                    )
                ) AS figures
            FROM (
                SELECT 0 AS day, NULL AS name
                UNION ALL SELECT u.day, u.name FROM unnest($3) WITH ORDINALITY AS u (name, day)
            ) AS d
            LEFT JOIN roles ON roles.day = d.day
            LEFT JOIN active ON active.day = d.day
            LEFT JOIN usage ON usage.day = d.day AND usage.of_all = 1
            LEFT JOIN models ON models.day = d.day
            LEFT JOIN times ON times.day = d.day
            LEFT JOIN rated ON rated.day = d.day
        )
        SELECT
            '"total":' || max(f.figures::text) FILTER (WHERE f.day = 0) || ',"days":['
            || coalesce(
                string_agg(
                    rtrim(f.named::text, '}') || ', ' || ltrim(f.figures::text, '{'), ',' ORDER BY f.day
                ) FILTER (WHERE f.day > 0),
                ''
            )
            || ']'
        FROM figures AS f
    $query$, '{g}', format('g%s', of_generation))
    INTO answer
    USING
        starts, ends, days,
        current_setting('turnlog.tenant', true),
        current_setting('turnlog.user', true),
        in_user, in_project, in_session,
        reads = 'tenant';
    RETURN answer;
END
$function$;
COMMENT ON FUNCTION turnlog.stats IS
    'Statistics of a generation over the days that begin at starts, up to ends, as members of a JSON object: for whoever the transaction says is reading. With the rights of the owner of the tables: under their policies every turn of a user would be looked up one by one. So it looks at tenant, user and visibility itself.';
REVOKE ALL ON FUNCTION turnlog.stats FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turnlog.stats TO turnlog_api;
