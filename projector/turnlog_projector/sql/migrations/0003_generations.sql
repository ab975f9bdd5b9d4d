-- Generations that hold the log up to some point, their places in it, and rebuilds asked for by way
-- of the API.

ALTER TABLE turnlog.generations DROP CONSTRAINT generations_state_check;
ALTER TABLE turnlog.generations
    ADD CONSTRAINT generations_state_check
        CHECK (state IN ('building', 'live', 'kept', 'until')),
    ADD COLUMN name text UNIQUE,
    ADD COLUMN until_recorded_at bigint,
    ADD COLUMN until_seq bigint,
    ADD COLUMN tenant text COLLATE "C",
    ADD COLUMN session_id text COLLATE "C";
COMMENT ON COLUMN turnlog.generations.state IS
    'building -> live (by the flip) -> kept (by the next flip) -> live (by a rollback), or row and schema dropped; building -> until (to look at, never live) -> dropped';
COMMENT ON COLUMN turnlog.generations.until_recorded_at IS
    'Of a generation to look at: it holds the events recorded up to then (ms since 1970).';
COMMENT ON COLUMN turnlog.generations.session_id IS
    'Of a generation to look at: it holds this session alone, up to until_seq if that is given.';

CREATE TABLE turnlog.positions (
    generation integer NOT NULL REFERENCES turnlog.generations ON DELETE CASCADE,
    partition integer NOT NULL,
    pos bigint NOT NULL,
    PRIMARY KEY (generation, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE turnlog.positions IS
    'Up to which place in the archive a generation that is not live holds each partition; of the live one turnlog.offsets tells.';

CREATE TABLE turnlog.rebuilds (
    rebuild bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    request_key text UNIQUE,
    requested_by text NOT NULL DEFAULT '',
    requested_at timestamptz NOT NULL DEFAULT now(),
    options text NOT NULL DEFAULT '{}',
    cancel boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    attempts integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    ended_at timestamptz,
    phase text,
    done bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    generation integer,
    former integer,
    digest text,
    error text
);
CREATE UNIQUE INDEX rebuilds_one_at_a_time ON turnlog.rebuilds ((true))
    WHERE state IN ('waiting', 'running') AND NOT cancel;
COMMENT ON TABLE turnlog.rebuilds IS
    'Replays asked for by way of the API: waiting -> running -> done, failed or cancelled. The API inserts rows and sets cancel; a projector worker does the rest.';

-- A flip looks for all of them while the offsets are locked.
CREATE INDEX heads_parked ON turnlog.heads (partition) WHERE parked_seq IS NOT NULL;
