"""The commented configuration that `hotfolder config init` writes."""

TEMPLATE = """\
# hotfolder: what to watch and where to deliver. Relative paths are relative to this file.
# Every key can be set by the environment: HOTFOLDER_DESTINATION__BUCKET=... and so on.

# state_dir = "/var/lib/hotfolder"     # ledger, journal, heartbeat; a local disk

[destination]
bucket = "my-bucket"                   # must exist
# prefix = "nas1"                      # the start of every key
# region = "us-east-1"
# endpoint_url = "https://s3.example.com"   # for S3-compatible stores
# addressing_style = "auto"            # auto | path | virtual
# ca_bundle = "ca.pem"                 # the store's own CA, in place of the system's
# proxy = "http://proxy.example.com:3128"
# auth = "default"                     # default (AWS environment, files, SSO, instance) | config |
#                                      # profile | instance | keyring | systemd
# credentials_file = "credentials"     # with auth = "config": in the format of ~/.aws/credentials
# profile = "archive"                  # with auth = "profile": of the AWS files, also SSO and roles
# keyring_entry = "hotfolder/s3"       # with auth = "keyring": SERVICE/USERNAME of a secret that is
#                                      # ACCESS_KEY:SECRET_KEY; needs pip install 'hotfolder[keyring]'
# credential_name = "s3"               # with auth = "systemd": LoadCredential=s3:/etc/... of the unit,
#                                      # in the format of ~/.aws/credentials
# storage_class = "STANDARD"
# tags = { department = "media" }      # at most 10
# sse = "aws:kms"                      # AES256 | aws:kms; empty: as the bucket does
# kms_key_id = "alias/archive"         # with sse = "aws:kms"
# acl = "bucket-owner-full-control"    # a canned ACL; empty: as the bucket does

[vars]                                 # your own variables for keys
# project_key = "RMI25320"             # is {vars.project_key}

[defaults]                             # any key of a folder; a folder overrides it
# settle = "5s"                        # a file is whole after this time without a change
# ready = "quiet"                      # quiet | closed (whole as soon as its writer closed it) | marker
# marker = "{name}.done"               # with ready = "marker": the file that says that one is whole
# rescan = "5m"                        # how often the whole inbox is walked; events are only hints
# watcher = "auto"                     # auto | inotify | polling: how files are noticed in between
# ignore = ["*.bak", "/drafts/"]       # as in .gitignore; system files are left alone anyway
# include = ["*.mp4"]                  # if set, what matches none of these is left alone
# min_size = "1B"                      # smaller files stay in the inbox, with that reason
# max_size = "50GB"                    # and so do larger ones
# group_by = "top-directory"           # top-directory | folder: what makes a group
# key = "{prefix}/{relpath}{ext}"      # and {folder} {group} {grouppath} {name} {stem} {host} {sha256}
#                                      # {date:%Y/%m/%d} {timestamp} {vars.NAME}
# compression = "tar.gz"               # tar.gz | gz | tar.zst | zst | none
# level = "fast"                       # fast | balanced | small | a number
# storage_class = "STANDARD"           # else as in [destination]
# tags = { keep = "10y" }              # else as in [destination]
# on_complete = "move"                 # move | delete | leave the original in the inbox
# directories = "recurse"              # recurse | archive (a dropped directory is one object)
# tidy = "emptied"                     # emptied | all | never: folders that deliveries have emptied
# tidy_after = "5m"                    # a time without a change, before such a folder goes
# completed_layout = "tree"            # tree | flat | dated
# on_conflict = "keep-both"            # other content under the key: keep-both, overwrite, or fail
# spool = "stream"                     # disk: compress once into the state folder, for slow links
# keep_compressed = false              # with spool = "disk": keep it in completed/, beside the original
# verify = "auto"                      # auto | checksum | etag | head | readback: what proves an object
# order = "fair"                       # fair | oldest | smallest | name: which file goes next
# file_attempts = 5                    # tries for a file that fails by its own fault

[folders.media]                        # one table for each watched folder
inbox = "inbox"
# completed = "completed"              # where delivered originals go; default: beside the inbox
# failed = "failed"                    # where files go that cannot be delivered, as the ledger says

# [folders.media.destination]          # keys of [destination] that differ for this folder
# bucket = "other-bucket"

# [folders.media.groups.reels]         # what the folder may hold: then only its groups are taken
# extensions = [".mp4", ".json"]       # and include, key, compression, level, storage_class, tags,
#                                      # verify

[transfer]
# workers = "cpu*4"                    # packing threads
# requests = 64                        # at the same time; of small files up to four times as many
# engine = "auto"                      # what sends files and parts: direct | crt | boto3
# attempts = 12                        # tries for each request
# connect_timeout = "20s"
# read_timeout = "5m"                  # without any progress of a request
# min_speed = "16KiB/s"                # of all requests together; one that gets less than its share ends
# part_size = "auto"                   # a ceiling for parts of multipart uploads
# memory = "256MiB"                    # the bound on buffers
# bandwidth = ""                       # "40MB/s", or a timetable; limit "0" is not now:
#             [{ days = "mon-fri", from = "08:00", to = "18:00", limit = "5MB/s" }]
# reserve = "auto"                     # free space left alone on the disks: 256MiB, less on small ones

[status]
# file = "status.json"                 # the heartbeat: follow it with tail -F
# interval = "2s"
# group_key = "groups"                 # "reels" calls the groups "reels" and "current_reel"

[ledger]
# rotate = "64MiB"                     # a ledger file of this size is put away, and packed later

[log]
# level = "info"                       # debug | info | warning | error
# format = "auto"                      # auto (console on a terminal, else json) | console | json
"""
