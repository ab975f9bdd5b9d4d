-- Up to when Redis was cleaned of erasures that its files may still hold (null: of none), how many
-- they are, and whether the files were written anew within an interval.
SELECT
    max(redis_done_at),
    count(*),
    EXISTS (
        SELECT FROM turnlog.erasures
        WHERE files_done_at > now() - make_interval(secs => %(between)s)
    )
FROM turnlog.erasures
WHERE files_done_at IS NULL AND redis_done_at IS NOT NULL
