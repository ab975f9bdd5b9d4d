WITH forgotten AS (
    DELETE FROM turnlog.workers WHERE seen_at < now() - interval '1 hour'
)
INSERT INTO turnlog.workers (worker, lock_key, host, pid, seen_at)
VALUES (%(worker)s, %(lock_key)s, %(host)s, %(pid)s, now())
ON CONFLICT (worker) DO UPDATE SET seen_at = now()
