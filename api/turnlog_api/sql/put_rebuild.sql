-- Ask for a rebuild: the number of the new one; else of the one that was asked for by the same key,
-- and what that was; else of the one that is under way. All are null when another request was just
-- quicker: ask again.
WITH made AS (
    INSERT INTO turnlog.rebuilds (request_key, requested_by, options)
    VALUES (%(key)s, %(requested_by)s, %(options)s)
    ON CONFLICT DO NOTHING
    RETURNING rebuild
)
SELECT
    (SELECT rebuild FROM made),
    known.rebuild,
    known.options,
    (SELECT rebuild FROM turnlog.rebuilds WHERE state IN ('waiting', 'running') AND NOT cancel)
FROM (VALUES (1)) AS one (row)
LEFT JOIN turnlog.rebuilds AS known ON known.request_key = %(key)s
