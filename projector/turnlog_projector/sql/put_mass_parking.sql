INSERT INTO turnlog.mass_parkings (folded, parked, refused, reason) VALUES (%s, %s, %s, %s)
