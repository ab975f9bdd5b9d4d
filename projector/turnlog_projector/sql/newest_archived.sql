-- The newest archived events of a session up to a seq, newest first: at most so many, and after the
-- first only as long as they hold together at most so many bytes. None of a session that is quiet, for
-- which the archive has held its last event for so long that all of it would be trimmed.
WITH chunk AS (
    SELECT seq, sum(octet_length(bytes)) OVER (ORDER BY seq DESC) AS size
    FROM turnlog.archive
    WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
        AND seq <= %(upto)s
        AND (
            SELECT last.pos
            FROM turnlog.archive AS last
            WHERE last.partition = %(partition)s AND last.tenant = %(tenant)s
                AND last.session_id = %(session_id)s AND last.seq = %(upto)s
        ) > coalesce(
            (
                SELECT m.pos
                FROM turnlog.trim_marks AS m
                WHERE m.partition = %(partition)s
                    AND m.at <= now() - make_interval(secs => %(trim_after)s)
                ORDER BY m.at DESC
                LIMIT 1
            ),
            0
        )
    ORDER BY seq DESC
    LIMIT %(count)s
)
SELECT a.seq, a.event_id, a.recorded_at, a.bytes
FROM turnlog.archive AS a
JOIN chunk ON chunk.seq = a.seq
WHERE a.partition = %(partition)s AND a.tenant = %(tenant)s AND a.session_id = %(session_id)s
    AND (chunk.size <= %(size)s OR a.seq = %(upto)s)
ORDER BY a.seq DESC
