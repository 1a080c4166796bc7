#!/usr/bin/env bash
# Unpack Apptainer into a folder: PREFIX/bin/apptainer, for every user who can enter PREFIX.
#
#   apptainer.sh PREFIX MIRROR
#
# Debian 12 has no Apptainer; Debian unstable has, linked against newer libraries. The package
# and those are unpacked, not installed, and the programs told to use them. Needs patchelf.
set -euo pipefail
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
mirror=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fetch() {
  mkdir -p "$scratch"/apt/{lists,archives}/partial "$scratch/root"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" \
    >"$scratch/apt/sid.list"
  local options=(-qq -o "Dir::Etc::sourcelist=$scratch/apt/sid.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$scratch/apt/lists" -o "Dir::Cache=$scratch/apt"
    -o APT::Sandbox::User=root -o Acquire::Languages=none)
  apt-get "${options[@]}" update
  (cd "$scratch" && apt-get "${options[@]}" download apptainer libc6 libseccomp2 libsqlite3-0)
  local package
  for package in "$scratch"/*.deb; do dpkg-deb -x "$package" "$scratch/root"; done
}

# Its parts find each other by where they lie: usr/bin, usr/lib/TRIPLET, usr/etc, usr/var.
lay_out() {
  local root=$scratch/root starter triplet
  starter=$(find "$root" -path '*/apptainer/bin/starter')
  triplet=usr/lib/$(basename "${starter%/apptainer/bin/starter}")
  mkdir -p "$prefix/$triplet" "$prefix/libraries" "$prefix/bin"
  cp -a "$root/usr/bin" "$root/etc" "$root/var" "$prefix/usr/"
  cp -a "$root/$triplet/apptainer" "$prefix/$triplet/"
  ln -s ../etc "$prefix/usr/lib/etc" # the starter searches one level lower
  ln -s ../var "$prefix/usr/lib/var"
  ln -s ../usr/bin/apptainer "$prefix/bin/apptainer"
  find "$root" -name 'lib*.so.*' -exec cp -L '{}' "$prefix/libraries/" \;
  local loader program
  loader=$(basename "$(find "$root" -name 'ld-linux-*.so.*' | head -n 1)")
  cp -L "$(find "$root" -name "$loader" | head -n 1)" "$prefix/libraries/"
  for program in "$prefix/usr/bin/apptainer" "$prefix/$triplet/apptainer/bin/starter"; do
    patchelf --set-interpreter "$prefix/libraries/$loader" \
      --force-rpath --set-rpath "$prefix/libraries" "$program"
  done
  chmod -R a+rX "$prefix"
}

fetch
lay_out
"$prefix/bin/apptainer" --version
