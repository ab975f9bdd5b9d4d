-- A session of a restored archive whose seqs are not 1, 2, 3, ... in the order of their places.
SELECT tenant, session_id
FROM (
    SELECT tenant, session_id, seq,
        row_number() OVER (PARTITION BY partition, tenant, session_id ORDER BY pos) AS place
    FROM turnlog.archive
) AS event
WHERE seq <> place
LIMIT 1
