#!/bin/sh
# install.sh [run] [test] [long]: installs the packages of these kinds in tests/packages.txt
# (without a word: run and test) that are missing, on Debian and its relatives, as root or through
# sudo. Ends with an error only when something that is needed could not be had.
set -u
list=$(dirname "$0")/packages.txt
kinds=" ${*:-run test} "
for kind in $kinds; do
    grep -q "^$kind " "$list" || [ "$kind" = long ] || {
        echo "install.sh: '$kind' is no kind of package: run, test or long"
        exit 2
    }
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is no Debian system, so nothing is installed. What is needed is listed in $list."
    exit 0
fi

missing() # needed|optional: the names of those that are not installed
{
    sed -e 's/#.*//' "$list" | while read -r kind first second; do
        case $kinds in
        *" ${kind:-none} "*) ;;
        *) continue ;;
        esac
        case $first in
        optional) need=optional name=$second ;;
        *) need=needed name=$first ;;
        esac
        [ "$need" = "$1" ] || continue
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed ||
            echo "$name"
    done
}

needed=$(missing needed)
optional=$(missing optional)
[ -n "$needed$optional" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root='env'
elif command -v sudo >/dev/null 2>&1; then
    as_root='sudo env'
else
    as_root=
fi

if [ -n "$as_root" ]; then
    echo "Installing:" $needed $optional
    install="$as_root DEBIAN_FRONTEND=noninteractive apt-get install -qq -y"
    install="$install --no-install-recommends -o Dpkg::Use-Pty=0"
    $as_root apt-get update -qq || echo "The package lists could not be brought up to date."
    # The optional ones one by one: one that can't be had must not keep the others away.
    [ -z "$needed" ] || $install $needed >/dev/null
    for name in $optional; do
        $install "$name" >/dev/null ||
            echo "$name could not be installed: what uses it is left out."
    done
    needed=$(missing needed)
elif [ -n "$optional" ]; then
    echo "Not installed, so what uses them is left out:" $optional
fi

if [ -n "$needed" ]; then
    echo "These packages are needed and not installed; as root: apt-get install" $needed
    exit 1
fi
