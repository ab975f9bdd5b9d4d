-- What stopped the projector: more sessions would have been parked at once than single corrupt ones
-- explain.

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
