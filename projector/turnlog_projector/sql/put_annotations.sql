-- Put rows of annotations: one array a column, in the order of tables.py.
INSERT INTO {g}.annotations (
    tenant, session_id, turn_id, seq, kind, body
)
SELECT
    tenant, session_id, turn_id, seq, kind, body
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[]
) AS row (
    tenant, session_id, turn_id, seq, kind, body
)
ON CONFLICT (tenant, session_id, turn_id, seq) DO UPDATE SET
    body = excluded.body
