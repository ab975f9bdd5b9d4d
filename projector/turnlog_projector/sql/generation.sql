-- The read models of one generation. `body` is the JSON that the API answers, ready made.

CREATE SCHEMA {g};

CREATE TABLE {g}.sessions (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    project text COLLATE "C",
    title text,
    visibility text NOT NULL,
    archived boolean NOT NULL,
    pinned boolean NOT NULL,
    deleted boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    turn_count bigint NOT NULL,
    seq bigint NOT NULL,
    body text NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    started boolean NOT NULL,
    erased boolean NOT NULL,
    floor bigint NOT NULL,
    last_turn_id text COLLATE "C",
    last_turn_seq bigint NOT NULL,
    title_turn_id text COLLATE "C",
    tip_turn_id text COLLATE "C",
    branches bigint NOT NULL,
    ignored bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE {g}.turns (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    turn_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    branch_id text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    body text NOT NULL,
    -- What statistics go by: figures.py makes it from the turn.
    model text COLLATE "C",
    input_tokens bigint,
    output_tokens bigint,
    counters text COLLATE "C",
    counts bigint[],
    response_us bigint,
    ratings text COLLATE "C"
);

CREATE TABLE {g}.branches (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    branch_id text COLLATE "C" NOT NULL,
    first_seq bigint NOT NULL,
    body text NOT NULL
);

CREATE TABLE {g}.titles (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    turn_id text COLLATE "C",
    body text NOT NULL
);

CREATE TABLE {g}.turn_revisions (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    turn_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    body text NOT NULL
);

CREATE TABLE {g}.annotations (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    turn_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    body text NOT NULL
);

GRANT USAGE ON SCHEMA {g} TO turnlog_api;
GRANT SELECT ON ALL TABLES IN SCHEMA {g} TO turnlog_api;
