-- What watches over the projection: stops before a mass of sessions is parked, and audits.

CREATE TABLE turnlog.mass_parkings (
    stop bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    folded bigint NOT NULL,
    parked bigint NOT NULL,
    refused bigint NOT NULL,
    reason text NOT NULL,
    over_at timestamptz
);
COMMENT ON TABLE turnlog.mass_parkings IS
    'Stops of the projector before a mass of sessions was parked. Of the sessions looked at last: folded ones, parked ones, and those that were not parked but refused. over_at: the projection has gone on since.';

CREATE TABLE turnlog.audits (
    partition integer PRIMARY KEY,
    run_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE turnlog.audits IS
    'When each partition was last compared with Redis from end to end, and which run of the Redis server that was: another run may have come back without its newest events.';

ALTER TABLE turnlog.healings
    ADD COLUMN kind text NOT NULL DEFAULT 'stream' CHECK (kind IN ('stream', 'entry', 'index'));
COMMENT ON TABLE turnlog.healings IS
    'What was put right. stream: the stream of a session was rebuilt, with restored events from the archive; newer ones moved to later seqs, and lost seqs nobody has any more. entry: the index did not tell of events, which were fetched from the stream. index: the index of a partition (no session is named) did not go on from where it was projected, and all its sessions were compared.';

CREATE FUNCTION turnlog.watch() RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT json_build_object(
        'quarantined', (
            SELECT count(*) FROM turnlog.parked
            WHERE state = 'parked' AND error LIKE 'quarantined: %'
        ),
        'healings', (
            SELECT json_build_object(
                'streams', count(*) FILTER (WHERE kind = 'stream'),
                'entries', count(*) FILTER (WHERE kind = 'entry'),
                'indexes', count(*) FILTER (WHERE kind = 'index'),
                'events_restored', coalesce(sum(restored), 0),
                'events_moved', coalesce(sum(moved), 0),
                'events_lost', coalesce(sum(lost), 0),
                'events_lost_lately',
                coalesce(sum(lost) FILTER (WHERE at > now() - interval '7 days'), 0),
                'newest', (
                    SELECT json_build_object(
                        'at', to_char(h.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                        'kind', h.kind,
                        'partition', h.partition,
                        'reason', h.reason,
                        'events_restored', h.restored,
                        'events_moved', h.moved,
                        'events_lost', h.lost
                    )
                    FROM turnlog.healings AS h
                    ORDER BY h.healing DESC
                    LIMIT 1
                )
            )
            FROM turnlog.healings
        ),
        'stopped', (
            SELECT json_build_object(
                'at', to_char(m.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'sessions', m.refused
            )
            FROM turnlog.mass_parkings AS m
            WHERE m.over_at IS NULL
            ORDER BY m.stop DESC
            LIMIT 1
        ),
        'audited_since', (
            SELECT to_char(min(a.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            FROM turnlog.audits AS a
        )
    )
$$;
COMMENT ON FUNCTION turnlog.watch IS
    'What operators have to know over all tenants; it names no session and holds no text.';
REVOKE ALL ON FUNCTION turnlog.watch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turnlog.watch TO turnlog_api;
