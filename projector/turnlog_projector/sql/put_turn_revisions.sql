-- Put rows of turn_revisions: one array a column, in the order of tables.py.
INSERT INTO {g}.turn_revisions (
    tenant, session_id, turn_id, seq, body
)
SELECT
    tenant, session_id, turn_id, seq, body
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[]
) AS row (
    tenant, session_id, turn_id, seq, body
)
ON CONFLICT (tenant, session_id, turn_id, seq) DO UPDATE SET
    body = excluded.body
