-- Archived events of a session between two seqs: the first ones, or the last ones, as many as fit
-- into a number of bytes, but one at least. The running sum is taken while the index is followed, so
-- it ends with the last event that is wanted; the size of bytes is known without fetching them.
SELECT found.seq, found.event_id, found.recorded_at, found.bytes, found.repeat_of
FROM (
    SELECT
        a.seq, a.event_id, a.recorded_at, a.bytes, a.repeat_of,
        sum(octet_length(a.bytes)) OVER (ORDER BY a.seq ROWS UNBOUNDED PRECEDING) --? asc
        sum(octet_length(a.bytes)) OVER (ORDER BY a.seq DESC ROWS UNBOUNDED PRECEDING) --? desc
            - octet_length(a.bytes) AS bytes_before
    FROM turnlog.archive AS a
    WHERE a.partition = %(partition)s
        AND a.tenant = %(tenant)s
        AND a.session_id = %(session_id)s
        AND a.seq >= %(first)s::bigint
        AND a.seq <= %(last)s::bigint
    ORDER BY a.seq --? asc
    ORDER BY a.seq DESC --? desc
    LIMIT %(count)s::bigint
) AS found
WHERE found.bytes_before < %(bytes)s::bigint
ORDER BY found.seq --? asc
ORDER BY found.seq DESC --? desc
