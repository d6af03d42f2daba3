"""`make bench`: hotfolder beside what people would use instead, on the same files in the same run."""
