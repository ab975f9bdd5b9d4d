-- What is searched in one generation. A row is a turn, or, with seq 0,
-- the title that somebody gave a session. words: see searchtext.py.
-- The role of the API cannot read it: it asks search_turns (search_functions.sql).

CREATE TABLE {g}.search (
    tenant text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    words tsvector NOT NULL
);
