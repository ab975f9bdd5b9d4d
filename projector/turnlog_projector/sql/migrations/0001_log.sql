-- The durable tables: what is not rebuilt by replay.

CREATE TABLE turnlog.log (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    log_id text NOT NULL,
    partitions integer NOT NULL CHECK (partitions > 0)
);
COMMENT ON TABLE turnlog.log IS 'Which log in Redis this database belongs to (the value of turnlog:meta).';

CREATE TABLE turnlog.generations (
    generation integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL CHECK (state IN ('building', 'live', 'kept')),
    created_at timestamptz NOT NULL DEFAULT now(),
    flipped_at timestamptz
);
COMMENT ON COLUMN turnlog.generations.state IS
    'building -> live (by the flip) -> kept (by the next flip) -> row and schema dropped';

CREATE TABLE turnlog.active (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation integer NOT NULL REFERENCES turnlog.generations
);
COMMENT ON TABLE turnlog.active IS 'The generation that is read and projected into: read models in schema g<generation>.';

CREATE TABLE turnlog.offsets (
    partition integer PRIMARY KEY,
    n bigint NOT NULL DEFAULT 0,
    session text COLLATE "C" NOT NULL DEFAULT '',
    event_id text COLLATE "C" NOT NULL DEFAULT '',
    epoch bigint NOT NULL DEFAULT 0,
    pos bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE turnlog.offsets IS
    'How far each partition is projected. Anchor: index entry n and its session and last event id. Every transaction that writes read models first moves n, or raises epoch, by compare-and-set on both. pos counts the archived events.';

CREATE TABLE turnlog.heads (
    partition integer NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    recorded_at bigint NOT NULL,
    parked_seq bigint,
    PRIMARY KEY (partition, tenant, session_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE turnlog.heads IS
    'The last archived event of each session; parked_seq is the first one that is not folded, when the session is parked.';

CREATE TABLE turnlog.archive (
    partition integer NOT NULL,
    pos bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    recorded_at bigint NOT NULL,
    repeat_of bigint,
    hash bytea NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (partition, tenant, session_id, seq)
);
CREATE UNIQUE INDEX archive_pos ON turnlog.archive (partition, pos);
CREATE UNIQUE INDEX archive_event_id ON turnlog.archive (partition, tenant, session_id, event_id)
    WHERE repeat_of IS NULL;
COMMENT ON TABLE turnlog.archive IS
    'Every projected event, verbatim. recorded_at in ms since 1970; hash is BLAKE2b-128 of bytes; repeat_of is the seq of an earlier event with the same id.';

CREATE TABLE turnlog.parked (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    state text NOT NULL CHECK (state IN ('parked', 'skipped')),
    error text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, session_id, seq)
);
COMMENT ON TABLE turnlog.parked IS
    'Events that could not be folded. parked: the session waits from this seq on; skipped: the event is folded to nothing, in every generation.';

CREATE TABLE turnlog.healings (
    healing bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    partition integer NOT NULL,
    tenant text NOT NULL,
    session_id text NOT NULL,
    reason text NOT NULL,
    from_seq bigint NOT NULL,
    restored bigint NOT NULL,
    moved bigint NOT NULL,
    lost bigint NOT NULL
);
COMMENT ON TABLE turnlog.healings IS
    'Streams rewritten because Redis had lost events that the archive holds: restored events, and how many newer ones moved to later seqs.';

CREATE TABLE turnlog.workers (
    worker text PRIMARY KEY,
    lock_key bigint NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE turnlog.workers IS
    'Projector workers. One is alive while seen_at is within the lease and its session holds the advisory lock.';

CREATE TABLE turnlog.leases (
    partition integer PRIMARY KEY,
    worker text,
    until timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE turnlog.leases IS
    'Which worker projects which partition. It saves double work; correctness rests on turnlog.offsets alone.';
