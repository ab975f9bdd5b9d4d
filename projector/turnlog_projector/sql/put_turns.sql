-- Put rows of turns: one array a column, in the order of tables.py.
INSERT INTO {g}.turns (
    tenant, session_id, turn_id, seq, branch_id, role, status, at, body,
    model, input_tokens, output_tokens, counters, counts, response_us, ratings
)
SELECT
    tenant, session_id, turn_id, seq, branch_id, role, status, at::timestamptz, body,
    model, input_tokens, output_tokens, counters, counts::bigint[], response_us, ratings
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[],
    %b::bigint[], %b::text[]
) AS row (
    tenant, session_id, turn_id, seq, branch_id, role, status, at, body,
    model, input_tokens, output_tokens, counters, counts, response_us, ratings
)
ON CONFLICT (tenant, session_id, seq) DO UPDATE SET
    status = excluded.status,
    body = excluded.body,
    model = excluded.model,
    input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens,
    counters = excluded.counters,
    counts = excluded.counts,
    response_us = excluded.response_us,
    ratings = excluded.ratings
