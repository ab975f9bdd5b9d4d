SELECT turnlog.sweep_exports()
