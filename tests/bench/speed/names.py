"""The names of the contestants and of the stores, by which rows are planned and found again."""

HOTFOLDER, ONCE = "hotfolder", "hotfolder once"
BY_THOUSANDS, AT_ONCE = "hotfolder, 1,000 at a time", "hotfolder, all at once"
OURS = frozenset({HOTFOLDER, ONCE, BY_THOUSANDS, AT_ONCE})
S5CMD_CP, S5CMD_MV = "s5cmd cp", "s5cmd mv"
RCLONE, RCLONE_64 = "rclone move", "rclone move --transfers 64"
RCLONE_COMPRESS = "rclone move, compress"
AWS_MV, TAR_GZIP_AWS = "aws s3 mv", "tar | gzip | aws s3 cp"

NEAR, FAR, FARTHER, SEAWEED = "sink, 0 ms", "sink, 20 ms", "sink, 80 ms", "SeaweedFS"
