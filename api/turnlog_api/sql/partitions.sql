SELECT partitions FROM turnlog.log
