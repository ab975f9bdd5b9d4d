-- The next turns of a session to export: those of some branches, or all, as many as fit into a number
-- of bytes, but one at least. `found` is how many there would have been. Without a turn there is one
-- row. The size of a body is known without fetching it.
SELECT
    a.generation,
    s.seq,
    page.found,
    page.seq,
    page.body
FROM turnlog.active AS a
LEFT JOIN {g}.sessions AS s
    ON {seen}
    AND s.session_id = %(session_id)s
LEFT JOIN LATERAL (
    SELECT sized.found, sized.seq, sized.body
    FROM (
        SELECT
            next.seq, next.body,
            count(*) OVER () AS found,
            sum(octet_length(next.body)) OVER (ORDER BY next.seq ROWS UNBOUNDED PRECEDING)
                - octet_length(next.body) AS bytes_before
        FROM (
            SELECT t.seq, t.body
            FROM {g}.turns AS t
            WHERE t.tenant = %(tenant)s
                AND t.session_id = %(session_id)s
                AND t.seq > greatest(s.floor, %(after)s::bigint)
                AND t.seq <= %(upto)s::bigint
                AND t.status <> 'retracted'
                AND EXISTS ( --? path
                    SELECT --? path
                    FROM unnest(%(branches)s::text[], %(ends)s::bigint[]) AS p (branch_id, upto) --? path
                    WHERE p.branch_id = t.branch_id AND t.seq <= p.upto --? path
                ) --? path
            ORDER BY t.seq
            LIMIT %(count)s::bigint
        ) AS next
    ) AS sized
    WHERE sized.bytes_before < %(bytes)s::bigint
) AS page
    ON true
WHERE a.only_row
ORDER BY page.seq
