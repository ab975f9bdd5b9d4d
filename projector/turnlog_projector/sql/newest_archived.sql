-- The newest archived events of a session up to a seq, newest first: at most so many, and after the
-- first only as long as they hold together at most so many bytes.
WITH chunk AS (
    SELECT seq, sum(octet_length(bytes)) OVER (ORDER BY seq DESC) AS size
    FROM turnlog.archive
    WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
        AND seq <= %(upto)s
    ORDER BY seq DESC
    LIMIT %(count)s
)
SELECT a.seq, a.event_id, a.recorded_at, a.bytes
FROM turnlog.archive AS a
JOIN chunk ON chunk.seq = a.seq
WHERE a.partition = %(partition)s AND a.tenant = %(tenant)s AND a.session_id = %(session_id)s
    AND (chunk.size <= %(size)s OR a.seq = %(upto)s)
ORDER BY a.seq DESC
