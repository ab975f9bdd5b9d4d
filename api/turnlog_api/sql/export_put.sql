-- Ask for an export: the id of the new one; else of the one that was asked for by the same key, and
-- what that was; and how many the reader has, under way and in all.
WITH counted AS (
    SELECT
        count(*) FILTER (WHERE state IN ('waiting', 'running')) AS under_way,
        count(*) FILTER (WHERE state <> 'expired') AS kept
    FROM turnlog.exports
    WHERE tenant = %(tenant)s AND owner IS NOT DISTINCT FROM %(owner)s::text
), made AS (
    INSERT INTO turnlog.exports
        (export_id, tenant, owner, requested_by, request_key, options, format)
    SELECT
        %(export_id)s, %(tenant)s, %(owner)s::text, %(requested_by)s, %(key)s::text, %(options)s,
        %(format)s
    FROM counted
    WHERE under_way < %(most_under_way)s::bigint AND kept < %(most_kept)s::bigint
    ON CONFLICT DO NOTHING
    RETURNING export_id
)
SELECT (SELECT export_id FROM made), known.export_id, known.options, counted.under_way, counted.kept
FROM counted
LEFT JOIN turnlog.exports AS known ON known.request_key = %(key)s::text
