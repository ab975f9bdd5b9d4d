-- Events of a session that may be its start or its end, for one whose read model does not say.
SELECT bytes
FROM turnlog.archive
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND (
        position(convert_to('session.started', 'UTF8') IN bytes) > 0
        OR position(convert_to('session.erased', 'UTF8') IN bytes) > 0
    )
ORDER BY seq
