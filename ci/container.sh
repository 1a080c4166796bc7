#!/usr/bin/env bash
# Build the image, and prove that bidsmask inside writes what it writes outside, byte by byte.
#
#   container.sh [WORK]
#
# No registry of images is asked: a Debian base is made from the packages of this machine's
# mirror, the Dockerfile is built on it, and run by root, by a user to whom nothing can be
# written but the output, and by Apptainer. Outside runs a virtual environment of the same lock
# on the same Python. WORK, a folder that every user can enter, keeps all that is made for a
# next time; without it, everything is made anew and removed.
#
# Needs root on Debian 12, whose Python is the base's. Elsewhere it says so and ends with 0.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
base=localhost/python-base:bookworm
largest_mb=450
levels=(participant group)
user=nobody

main() {
  skip_elsewhere
  make_work_folder "$@"
  step "install packages" install_packages
  step "make the base, install outside" make_base_and_install_outside
  step "run outside" run_outside
  step "build the image" build_image
  step "look into the image" check_image
  step "run as root" run_in_container root 0:0 --network host
  step "run as a user, all read-only" run_in_container user 12345:54321 \
    --network none --read-only --read-only-tmpfs=false --unsetenv HOME
  step "unpack Apptainer" unpack_apptainer
  step "build the Apptainer image" build_sif
  step "run by Apptainer" run_in_apptainer
  say "all outputs are those made outside; $SECONDS s in all"
}

say() { echo "test-container: $*" >&2; }
skip() { say "skipped: $*"; exit 0; }
step() {
  local name=$1 start=$SECONDS
  shift
  "$@"
  say "$name: $((SECONDS - start)) s"
}

skip_elsewhere() {
  [ "$(id -u)" = 0 ] || skip "only root can install packages and mount images"
  [ "$(. /etc/os-release && echo "$ID ${VERSION_ID:-}")" = "debian 12" ] || skip "this is not Debian 12"
  command -v apt-get >/dev/null || skip "there is no apt-get"
  unshare --mount true 2>/dev/null || skip "nothing can be mounted here"
}

make_work_folder() {
  if [ $# -gt 0 ]; then
    mkdir -p "$1"
    work=$(cd "$1" && pwd)
    rm -rf "$work"/{outside,root,user,apptainer}
  else
    work=$(mktemp -d /var/tmp/bidsmask-container.XXXXXX)
    trap remove_work_folder EXIT
  fi
  chmod 755 "$work"
  version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$root/bidsmask/_version.py")
  image=localhost/bidsmask:$version
  storage=(--root "$work/storage" --runroot "$work/storage-run" --storage-driver overlay)
}

remove_work_folder() {
  if mountpoint -q "$work/storage/overlay"; then umount "$work/storage/overlay"; fi
  rm -rf "$work"
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=600 update
  apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 install --no-install-recommends \
    buildah podman runc uidmap mmdebstrap ca-certificates python3-venv \
    patchelf squashfs-tools squashfuse fuse3 >&2
  mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' |
    head -n 1)
}

make_base_and_install_outside() {
  make_base &
  install_outside
  wait $!
}

make_base() {
  if buildah "${storage[@]}" inspect --type image "$base" >/dev/null 2>&1; then return; fi
  mmdebstrap --quiet --format=tar --variant=minbase --mode=root --skip=output/dev \
    --include=usr-is-merged,python3,python3-venv --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
    bookworm "$work/base.tar" "deb $mirror bookworm main" >"$work/base.log" 2>&1 ||
    { cat "$work/base.log" >&2; return 1; }
  local container
  container=$(buildah "${storage[@]}" from scratch)
  buildah "${storage[@]}" add --quiet "$container" "$work/base.tar" / >/dev/null
  buildah "${storage[@]}" commit --quiet --rm "$container" "$base" >/dev/null
  rm "$work/base.tar"
}

install_outside() {
  local outside=$work/outside
  /usr/bin/python3 -m venv "$outside/venv"
  local install=("$outside/venv/bin/python" -m pip -qq install --no-compile --require-hashes)
  "${install[@]}" -r "$root/docker/build-requirements.txt"
  "${install[@]}" --no-build-isolation --use-pep517 -r "$root/docker/requirements.txt"
  mkdir "$outside/source" # pip leaves files beside what it installs
  cp -r "$root"/{bidsmask,pyproject.toml,README.md,LICENSE} "$outside/source"
  "$outside/venv/bin/python" -m pip -qq install --no-deps --no-build-isolation "$outside/source"
}

run_outside() {
  local outside=$work/outside
  cd "$outside"
  venv/bin/python -m bidsmask.demo data >/dev/null
  # As little environment as inside: OPENBLAS_CORETYPE, say, changes last bits.
  run_levels "$outside/data" "$outside/out" \
    env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 venv/bin/bidsmask
}

build_image() {
  local mounts
  "$work/outside/venv/bin/python" "$root/ci/pip_mounts.py" "$work" >"$work/mounts"
  mapfile -t mounts <"$work/mounts"
  buildah "${storage[@]}" build --quiet --layers=false --format docker --pull-never \
    --isolation chroot --network host "${mounts[@]}" \
    --build-arg BASE_IMAGE="$base" --build-arg TEMPLATES=none --build-arg VERSION="$version" \
    --build-arg REVISION="$(git -C "$root" rev-parse HEAD || echo unknown)" \
    --tag "$image" "$root" >/dev/null
}

# Nothing lies in it but what the Dockerfile names, and no path of the machine that built it.
check_image() {
  local bytes mounted strays
  bytes=$(podman "${storage[@]}" image inspect --format '{{.Size}}' "$image")
  say "the image has $((bytes / 1000000)) MB"
  [ "$bytes" -lt $((largest_mb * 1000000)) ] || { say "that is over $largest_mb MB"; return 1; }
  mounted=$(podman "${storage[@]}" image mount "$image")
  strays=$(
    podman "${storage[@]}" diff "$image" "$base" |
      grep -vE ' /(opt(/bidsmask|/templateflow)?|usr(/local(/bin(/bidsmask(-regions)?)?)?)?)(/|$)' || true
    find "$mounted/opt" -name tests -o -name .git -o -name '*.whl'
    grep -rIlE "(^|[\"' =])($root|$work)/" "$mounted/opt" || true
  )
  podman "${storage[@]}" image umount "$image" >/dev/null
  [ -z "$strays" ] || { say "in the image is what does not belong there:" "$strays"; return 1; }
}

# Run the levels by a command that sees the demo as DATA and the output as OUT.
run_levels() { # DATA OUT COMMAND...
  local data=$1 out=$2 level
  shift 2
  for level in "${levels[@]}"; do
    local options=()
    [ "$level" = group ] || options=(
      --space MNI152NLin2009cAsym --voxels
      --atlas "$data/derivatives/truth/atlas/tpl-MNI152NLin2009cAsym_atlas-demo_dseg.nii.gz"
      --confounds simple scrubbing --high-pass 0.01 --low-pass 0.1)
    "$@" "$data" "$out" "$level" "${options[@]}"
  done
}

# runc and low limits, where crun and podman's own fail on machines that lack a capability.
run_in_container() { # NAME UID:GID OPTION...
  local name=$1 owner=$2
  shift 2
  make_output "$name" "$owner"
  run_levels /data /out podman "${storage[@]}" --runtime runc run --rm --pull never \
    --no-healthcheck --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 --user "$owner" "$@" \
    --volume "$work/outside/data:/data:ro" --volume "$work/$name/out:/out" "$image"
  compare "$name" docker
}

unpack_apptainer() {
  [ -x "$work/prefix/bin/apptainer" ] || "$root/ci/apptainer.sh" "$work/prefix" "$mirror"
}

build_sif() {
  make_output apptainer "$user"
  local folder=$work/apptainer
  buildah "${storage[@]}" push --quiet "$image" "docker-archive:$folder/bidsmask.tar:$image"
  cp "$root/apptainer.def" "$folder"
  cd "$folder"
  as_user build --mksquashfs-args "-comp zstd -Xcompression-level 1" bidsmask.sif apptainer.def
}

# What the caller's PYTHONPATH names must not be taken for ours.
run_in_apptainer() {
  local folder=$work/apptainer unsquash=()
  mkdir "$folder/host"
  echo 'raise SystemExit("numpy of the host")' >"$folder/host/numpy.py"
  runuser -u "$user" -- test -w /dev/fuse || unsquash=(--unsquash)
  cd "$folder"
  run_levels /data /out as_user run --containall --no-home --cleanenv --net --network none \
    "${unsquash[@]}" --bind "$work/outside/data:/data:ro,$folder/out:/out,$folder/host:/host:ro" \
    --env PYTHONPATH=/host bidsmask.sif
  compare apptainer apptainer
}

as_user() {
  runuser -u "$user" -- env HOME="$work/apptainer" APPTAINER_TMPDIR="$work/apptainer" \
    APPTAINER_CACHEDIR="$work/apptainer/cache" "$work/prefix/bin/apptainer" --quiet "$@"
}

make_output() { # NAME OWNER
  mkdir -p "$work/$1/out"
  chown "$2" "$work/$1" "$work/$1/out"
}

compare() { # NAME TYPE
  python3 "$root/ci/same_outputs.py" "$work/outside/out" "$work/$1/out" "$2" "bidsmask:$version"
}

main "$@"
