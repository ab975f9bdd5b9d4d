-- The next turns of a partition, session by session, at most so many and, after the first, of so many
-- bytes: those behind a turn (tenant, session_id, seq).
WITH chunk AS (
    SELECT
        tenant, session_id, seq,
        sum(size) OVER (ORDER BY tenant, session_id, seq) AS size,
        row_number() OVER (ORDER BY tenant, session_id, seq) AS place
    FROM (
        SELECT t.tenant, t.session_id, t.seq, octet_length(t.body) AS size
        FROM turnlog.heads AS h
        JOIN {g}.turns AS t ON t.tenant = h.tenant AND t.session_id = h.session_id
        WHERE h.partition = %(partition)s
            AND (h.tenant, h.session_id) >= (%(tenant)s, %(session_id)s)
            AND (t.tenant, t.session_id, t.seq) > (%(tenant)s, %(session_id)s, %(seq)s)
        ORDER BY h.tenant, h.session_id, t.seq
        LIMIT %(count)s
    ) AS first
)
SELECT t.tenant, t.session_id, t.body
FROM chunk
JOIN {g}.turns AS t USING (tenant, session_id, seq)
WHERE chunk.size <= %(size)s OR chunk.place = 1
ORDER BY chunk.place
