#!/bin/sh
# Called by the daemon at every change of state with: INSTANCE|GROUP  name  MASTER|BACKUP|FAULT|STOP  priority
# and by notify_up / notify_down of a real server with: SERVER  name  UP|DOWN.
# Appends a line to a file. Put your own work (a chat message, a service to start) below it.
echo "$(date +%Y-%m-%dT%H:%M:%S.%3N) $*" >> "${NOTIFY_LOG:-/var/log/keepalived-notify.log}"
