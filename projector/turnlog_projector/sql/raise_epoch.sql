-- Make the next compare-and-set on a partition fail, and keep everybody else from it meanwhile.
UPDATE turnlog.offsets SET epoch = epoch + 1 WHERE partition = %s RETURNING pos
