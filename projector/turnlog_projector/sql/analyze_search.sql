ANALYZE {g}.search
