-- Rebuilds that run although the process that ran them is gone (the caller holds the lock of whoever
-- runs them): they wait again, unless that has happened too often, or they were cancelled.
UPDATE turnlog.rebuilds SET
    state = CASE
        WHEN cancel THEN 'cancelled'
        WHEN attempts >= %(attempts)s THEN 'failed'
        ELSE 'waiting'
    END,
    error = CASE
        WHEN NOT cancel AND attempts >= %(attempts)s
            THEN format('its process died %%s times: see the log of the projector', attempts)
    END,
    ended_at = CASE WHEN cancel OR attempts >= %(attempts)s THEN now() END
WHERE state = 'running'
RETURNING rebuild, state
