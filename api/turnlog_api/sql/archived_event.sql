-- One archived event: by its seq, or the first with an event id.
SELECT a.seq, a.bytes
FROM turnlog.archive AS a
WHERE a.partition = %(partition)s
    AND a.tenant = %(tenant)s
    AND a.session_id = %(session_id)s
    AND a.seq = %(seq)s --? seq
    AND a.event_id = %(event_id)s --? event_id
    AND a.repeat_of IS NULL --? event_id
