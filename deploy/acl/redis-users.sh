#!/usr/bin/env bash
# Print Redis' or Valkey's users file (its setting `aclfile`): the rights of redis.acl, and passwords as hashes.
#
#   redis-users.sh PASSWORDS > users.acl
#
# PASSWORDS is a folder with one file per user, named as the user (streamrec-embedder …), that holds the password; a line end at
# its end does not count. A user without a file is left out. The user `default`, who may everything without a password, is switched
# off: add a user for the administrator by a file redis-admin.
set -euo pipefail

folder=${1:?name the folder with the passwords}
hash_of() { tr -d '\r\n' < "$1" | sha256sum | cut -d ' ' -f 1; }

echo 'user default off'
if [[ -f $folder/redis-admin ]]; then
    echo "user redis-admin on #$(hash_of "$folder/redis-admin") ~* &* +@all"
fi
while read -r word user rules; do
    if [[ -f $folder/$user ]]; then
        echo "$word $user ${rules/#on/on #$(hash_of "$folder/$user")}"
    else
        echo "redis-users.sh: no password for $user in $folder; left out" >&2
    fi
done < "$(dirname "${BASH_SOURCE[0]}")/redis.acl"
