-- Of marks older than a day keep one an hour, of those older than 35 days one a day: the last. Those of
-- the future go.
WITH numbered AS (
    SELECT partition, at,
        row_number() OVER (
            PARTITION BY partition, CASE
                WHEN at > now() - interval '1 day' THEN at
                WHEN at > now() - interval '35 days' THEN date_trunc('hour', at, 'UTC')
                ELSE date_trunc('day', at, 'UTC')
            END
            ORDER BY at DESC
        ) AS place
    FROM turnlog.trim_marks
    WHERE partition = ANY (%(partitions)s)
)
DELETE FROM turnlog.trim_marks AS m
USING numbered
WHERE (numbered.place > 1 OR m.at > now()) AND m.partition = numbered.partition AND m.at = numbered.at
