-- Of marks older than 35 days keep one a day: the last.
DELETE FROM turnlog.trim_marks AS m
USING turnlog.trim_marks AS later
WHERE m.partition = ANY (%(partitions)s)
    AND m.at < now() - interval '35 days'
    AND later.partition = m.partition
    AND later.at > m.at
    AND later.at < date_trunc('day', m.at, 'UTC') + interval '1 day'
