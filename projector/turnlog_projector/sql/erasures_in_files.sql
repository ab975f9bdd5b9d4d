-- Up to when Redis was cleaned of erasures that its files may still hold; null when there are none,
-- or the files were written anew within an interval. Also how many they are.
SELECT max(e.redis_done_at), count(*)
FROM turnlog.erasures AS e
WHERE e.files_done_at IS NULL AND e.redis_done_at IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM turnlog.erasures
        WHERE files_done_at > clock_timestamp() - make_interval(secs => %(between)s)
    )
