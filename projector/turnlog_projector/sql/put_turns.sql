-- Put rows of turns: one array a column, in the order of tables.py.
INSERT INTO {g}.turns (
    tenant, session_id, turn_id, seq, branch_id, role, status, at, body
)
SELECT
    tenant, session_id, turn_id, seq, branch_id, role, status, at::timestamptz, body
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[]
) AS row (
    tenant, session_id, turn_id, seq, branch_id, role, status, at, body
)
ON CONFLICT (tenant, session_id, seq) DO UPDATE SET
    status = excluded.status,
    body = excluded.body
