-- The next archived events of a session, oldest first: at most so many, and after the first only as
-- long as they hold together at most so many bytes. Limits that are null do not limit.
SELECT seq, event_id, recorded_at, bytes, repeat_of
FROM (
    SELECT
        seq, event_id, recorded_at, bytes, repeat_of,
        row_number() OVER (ORDER BY seq) AS place,
        sum(octet_length(bytes)) OVER (ORDER BY seq) AS size
    FROM (
        SELECT seq, event_id, recorded_at, bytes, repeat_of
        FROM turnlog.archive
        WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
            AND seq BETWEEN %(first)s AND coalesce(%(upto_seq)s, 9007199254740991)
            AND pos <= coalesce(%(upto_pos)s, 9007199254740991)
        ORDER BY seq
        LIMIT %(count)s
    ) AS next
) AS chunk
WHERE place = 1 OR size <= %(size)s
ORDER BY seq
