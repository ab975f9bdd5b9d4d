-- Put rows of search: one array a column.
INSERT INTO {g}.search (tenant, session_id, seq, at, words)
SELECT tenant, session_id, seq, at::timestamptz, words::tsvector
FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[])
    AS row (tenant, session_id, seq, at, words)
ON CONFLICT (tenant, session_id, seq) DO UPDATE SET at = excluded.at, words = excluded.words
