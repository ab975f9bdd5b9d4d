UPDATE turnlog.rebuilds SET
    state = 'running',
    attempts = attempts + 1,
    started_at = now(),
    phase = 'begins',
    done = 0,
    total = 0
WHERE rebuild = %s AND state = 'waiting' AND NOT cancel
RETURNING options
