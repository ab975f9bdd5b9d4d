UPDATE turnlog.mass_parkings SET over_at = now() WHERE over_at IS NULL
