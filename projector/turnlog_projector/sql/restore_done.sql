-- Let the projectors go on behind a restored archive: how many events each partition holds.
UPDATE turnlog.offsets AS o SET pos = restored.pos, epoch = o.epoch + 1
FROM unnest(%b::integer[], %b::bigint[]) AS restored (partition, pos)
WHERE o.partition = restored.partition
