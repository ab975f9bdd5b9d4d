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
