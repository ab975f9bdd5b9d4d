-- What trimming Redis and restoring an archive have to remember.

CREATE TABLE turnlog.trim_marks (
    partition integer NOT NULL,
    at timestamptz NOT NULL,
    pos bigint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (partition, at)
);
COMMENT ON TABLE turnlog.trim_marks IS
    'How far each partition was archived (pos) and projected (n, of the index) at some moments, about one an hour: so it is known what the archive has held for long enough to be trimmed from Redis.';

CREATE TABLE turnlog.restore (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    began_at timestamptz NOT NULL DEFAULT now(),
    events bigint NOT NULL,
    sessions bigint NOT NULL
);
COMMENT ON TABLE turnlog.restore IS
    'There while a restored archive waits for its read models and for its sessions in Redis; `turnlog archive restore` goes on with it.';
