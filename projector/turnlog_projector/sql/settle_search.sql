SELECT gin_clean_pending_list('{g}.search_words'::regclass)
