-- The stop that the projection has not gone on from yet.
SELECT folded, parked, refused
FROM turnlog.mass_parkings
WHERE over_at IS NULL
ORDER BY stop DESC
LIMIT 1
