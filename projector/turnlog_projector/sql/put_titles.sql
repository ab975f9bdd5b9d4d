-- Put rows of titles: one array a column, in the order of tables.py.
INSERT INTO {g}.titles (
    tenant, session_id, seq, turn_id, body
)
SELECT
    tenant, session_id, seq, turn_id, body
FROM unnest(
    %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[]
) AS row (
    tenant, session_id, seq, turn_id, body
)
ON CONFLICT (tenant, session_id, seq) DO UPDATE SET
    turn_id = excluded.turn_id,
    body = excluded.body
