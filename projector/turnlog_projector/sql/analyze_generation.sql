ANALYZE {g}.sessions, {g}.turns, {g}.branches, {g}.titles, {g}.turn_revisions, {g}.annotations
