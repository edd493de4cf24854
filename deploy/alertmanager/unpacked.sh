#!/bin/sh
# Debian's Alertmanager out of an unpacked package, where nobody may write to /usr:
#
#   deploy/alertmanager/unpacked.sh FOLDER [FLAG...]      FOLDER is where the package was unpacked
#
# Debian's program reads its default templates from a path that is compiled in, and does not start without them. A copy
# of the program, made once, looks for them in the folder that it runs in instead (the same number of bytes; conda
# moves programs in this way). So paths in FLAG must be absolute. Where the package is installed, it runs as it is.
set -eu
[ $# -ge 1 ] || { sed -n '2,4p' "$0" >&2; exit 2; }
folder=$(cd "$1" && pwd); shift
program=$folder/usr/bin/prometheus-alertmanager
assets=/usr/share/prometheus/alertmanager
if [ ! -e "$assets/default.tmpl" ]; then
  here=/proc/self/cwd////////////////////
  [ ${#here} -eq ${#assets} ]
  copy=$program-unpacked
  if [ ! "$copy" -nt "$program" ]; then
    LC_ALL=C sed "s,$assets,$here,g" "$program" > "$copy.$$"
    chmod 755 "$copy.$$"
    mv "$copy.$$" "$copy"
  fi
  program=$copy
  cd "$folder$assets"
fi
exec "$program" "$@"
