#!/usr/bin/env bash
# Downloads a data set and checks every file of it. Usage: scripts/get-data.sh NAME [FOLDER]
#
# NAME is a set of scripts/data-sets.txt; FOLDER is made if need be (default data/NAME). A download that was
# cut short is taken up where it stopped; a file that is there and right is left alone. FELBO_DATA_MIRROR=URL
# fetches the files from another folder of the web. Exit status: 0 all files are there and right, 1 a download
# or a check failed, 2 bad request.
set -euo pipefail

table="$(dirname "${BASH_SOURCE[0]}")/data-sets.txt"

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "get-data: $2"
  exit "$1"
}

rows() { grep -v -e '^#' -e '^[[:space:]]*$' "$table"; }
names() { rows | awk '!seen[$1]++ { print $1 }' | paste -sd ' '; }

usage() {
  say "usage: $0 NAME [FOLDER]"
  say "Downloads and checks a data set; FOLDER defaults to data/NAME. NAME is one of: $(names)"
}

need() { command -v "$1" > /dev/null || fail 1 "$1 is needed but not installed: install the package $2"; }

# digest_of FILE ALGORITHM: the file's checksum in hexadecimal.
digest_of() { "${2}sum" < "$1" | cut -d ' ' -f 1; }

# download URL FILE: fetches to FILE, going on after the bytes that FILE already holds.
download() {
  local url=$1 to=$2 status=0
  local curl=(curl --fail --location --silent --show-error --connect-timeout 30 --retry 2)
  if [[ -s $to ]]; then
    say "$to: taking up after $(stat -c %s "$to") bytes"
    "${curl[@]}" --continue-at - --output "$to" "$url" || status=$?
    # 22, 33, 36: the server has nothing after these bytes or cannot start in the middle.
    case $status in
      22 | 33 | 36) say "$to: the server cannot take it up there; starting again" ;;
      *) return $status ;;
    esac
  fi
  status=0
  "${curl[@]}" --output "$to" "$url" || status=$?
  return $status
}

# fetch URL FILE ALGORITHM:DIGEST: leaves the right FILE or, after a message, ends the script.
fetch() {
  local url=$1 file=$2 algorithm=${3%%:*} expected=${3#*:} got
  if [[ -e $file ]]; then
    got=$(digest_of "$file" "$algorithm")
    [[ $got == "$expected" ]] ||
      fail 1 "$file: wrong $algorithm: expected $expected, got $got. It is left as it is:
move it away and run this again."
    say "$file: already there, $algorithm right"
    return
  fi
  # A download may have ended just before it was checked.
  if [[ ! -e $file.part || $(digest_of "$file.part" "$algorithm") != "$expected" ]]; then
    say "$file: downloading $url"
    download "$url" "$file.part" ||
      fail 1 "$url: the download failed (see the line above). What has arrived is kept:
run this again to go on, or set FELBO_DATA_MIRROR to the address of a folder that holds the files."
  fi
  got=$(digest_of "$file.part" "$algorithm")
  if [[ $got != "$expected" ]]; then
    mv -- "$file.part" "$file.wrong"
    fail 1 "$file: wrong $algorithm: expected $expected, got $got. The download is kept as $file.wrong;
run this again to download afresh, or set FELBO_DATA_MIRROR to try another server."
  fi
  mv -- "$file.part" "$file"
  say "$file: downloaded, $algorithm right"
}

main() {
  case ${1:-} in -h | --help) usage && exit 0 ;; esac
  [[ $# -ge 1 && $# -le 2 ]] || { usage && exit 2; }
  local name=$1 folder=${2:-data/$1} set url file digest
  rows | awk -v name="$name" '$1 == name { found = 1 } END { exit !found }' ||
    fail 2 "there is no data set \"$name\" here; there are: $(names)"
  need curl curl
  mkdir -p -- "$folder" || fail 1 "$folder: the folder cannot be made"
  while read -r set url file digest; do
    [[ $set == "$name" ]] || continue
    url=${FELBO_DATA_MIRROR:-$url}
    fetch "${url%/}/$file" "$folder/$file" "$digest" < /dev/null
  done < <(rows)
  say "done: felbo train --data $folder ..."
}

main "$@"
