-- Up to when Redis was cleaned of erasures that its files may still hold (null: of none), how many
-- they are, and whether the files were written anew within an interval (not in the future, by a clock
-- that was set back since).
SELECT
    max(redis_done_at),
    count(*),
    EXISTS (
        SELECT FROM turnlog.erasures
        WHERE files_done_at > now() - make_interval(secs => %(between)s) AND files_done_at <= now()
    )
FROM turnlog.erasures
WHERE files_done_at IS NULL AND redis_done_at IS NOT NULL
