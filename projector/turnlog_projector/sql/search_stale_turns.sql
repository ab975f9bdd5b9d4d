-- The next turns of a session, at most so many and, after the first, of so many bytes.
WITH chunk AS (
    SELECT seq, sum(octet_length(body)) OVER (ORDER BY seq) AS size
    FROM {g}.turns
    WHERE tenant = %(tenant)s AND session_id = %(session_id)s AND seq > %(done)s
    ORDER BY seq
    LIMIT %(count)s
)
SELECT t.body
FROM {g}.turns AS t
JOIN chunk ON chunk.seq = t.seq
WHERE t.tenant = %(tenant)s AND t.session_id = %(session_id)s
    AND (chunk.size <= %(size)s OR t.seq = (SELECT min(seq) FROM chunk))
ORDER BY t.seq
