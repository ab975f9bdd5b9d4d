-- Put rows of branches: one array a column, in the order of tables.py.
INSERT INTO {g}.branches (
    tenant, session_id, branch_id, first_seq, body
)
SELECT
    tenant, session_id, branch_id, first_seq, body
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[]
) AS row (
    tenant, session_id, branch_id, first_seq, body
)
ON CONFLICT (tenant, session_id, branch_id) DO UPDATE SET
    body = excluded.body
