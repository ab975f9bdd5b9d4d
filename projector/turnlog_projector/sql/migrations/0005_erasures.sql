-- What was erased, and how far that has come.

CREATE TABLE turnlog.erasures (
    partition integer NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    turn_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    events bigint NOT NULL,
    seqs bigint[] NOT NULL,
    redis_done_at timestamptz,
    files_done_at timestamptz,
    files text,
    PRIMARY KEY (partition, tenant, session_id, turn_id)
);
CREATE INDEX erasures_in_redis ON turnlog.erasures (partition) WHERE redis_done_at IS NULL;
CREATE INDEX erasures_in_files ON turnlog.erasures (files_done_at);
COMMENT ON TABLE turnlog.erasures IS
    'Erased sessions (turn_id is empty) and turns; seq is that of the erasing event. A row comes with the transaction that takes the text out of archive and read models: events counts the archived events that became stubs, seqs lists those of a turn. Then Redis is cleaned (redis_done_at), then its files on disk are rewritten (files_done_at; files says what was done about them). New stubs, and an older Redis that comes back, begin again.';
