-- The files of Redis hold nothing more of what it was cleaned of by then.
UPDATE turnlog.erasures SET files_done_at = clock_timestamp(), files = %(files)s
WHERE files_done_at IS NULL AND redis_done_at <= %(upto)s
