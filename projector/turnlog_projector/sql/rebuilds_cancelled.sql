-- What was cancelled before it began.
UPDATE turnlog.rebuilds SET state = 'cancelled', ended_at = now()
WHERE state = 'waiting' AND cancel
