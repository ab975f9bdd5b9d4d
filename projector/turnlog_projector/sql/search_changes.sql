-- The next archived events of a partition, at most so many and, after the first, of so many bytes:
-- each with the turn that it has begun; with its own bytes, when it has begun none.
WITH events AS (
    SELECT
        a.pos, a.tenant, a.session_id, a.seq, t.seq IS NOT NULL AS begun,
        sum(coalesce(octet_length(t.body), octet_length(a.bytes))) OVER (ORDER BY a.pos) AS size
    FROM turnlog.archive AS a
    LEFT JOIN {g}.turns AS t
        ON t.tenant = a.tenant AND t.session_id = a.session_id AND t.seq = a.seq
    WHERE a.partition = %(partition)s AND a.pos > %(pos)s AND a.pos <= %(pos)s::bigint + %(count)s
        AND a.pos <= %(upto)s
)
SELECT
    e.pos, e.tenant, e.session_id, e.seq,
    CASE WHEN e.begun THEN (
        SELECT t.body FROM {g}.turns AS t
        WHERE t.tenant = e.tenant AND t.session_id = e.session_id AND t.seq = e.seq
    ) END,
    CASE WHEN NOT e.begun THEN (
        SELECT a.bytes FROM turnlog.archive AS a
        WHERE a.partition = %(partition)s AND a.pos = e.pos
    ) END
FROM events AS e
WHERE e.size <= %(size)s OR e.pos = %(pos)s::bigint + 1
ORDER BY e.pos
