-- Archived events of a session at some seqs, in the order given: as many as fit into a number of
-- bytes, but one at least.
SELECT found.seq, found.event_id, found.recorded_at, found.bytes, found.repeat_of
FROM (
    SELECT
        a.seq, a.event_id, a.recorded_at, a.bytes, a.repeat_of, wanted.place,
        sum(octet_length(a.bytes)) OVER (ORDER BY wanted.place ROWS UNBOUNDED PRECEDING)
            - octet_length(a.bytes) AS bytes_before
    FROM unnest(%(seqs)s::bigint[]) WITH ORDINALITY AS wanted (seq, place)
    JOIN turnlog.archive AS a
        ON a.partition = %(partition)s
        AND a.tenant = %(tenant)s
        AND a.session_id = %(session_id)s
        AND a.seq = wanted.seq
) AS found
WHERE found.bytes_before < %(bytes)s::bigint
ORDER BY found.place
