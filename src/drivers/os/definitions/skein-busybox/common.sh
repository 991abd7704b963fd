# Shared by this definition's scripts; read with the working directory in it, as the interface promises.
#
# The disk, in sectors of 512 bytes:
#   0       master boot record
#   2048    partition 1: FAT with syslinux, kernel, initrd (32 MiB)
#   67584   partition 2: the guest's counter, raw (1 MiB)
# The rest is free. File images are written as they are: no loop device, no device-mapper, no mount.
set -eu

fat_start=2048
fat_sectors=65536
counter_start=67584
counter_sectors=2048
needed_mib=34
fat_offset=$((fat_start * 512))

export MTOOLS_SKIP_CHECK=1

fail() {
  echo "skein-busybox: $*" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null || fail "program $1 was not found; install the Debian package $2"
}

check_parameters() {
  case "${OSP_COUNT:=yes}" in
    yes | no) ;;
    *) fail "parameter count is '$OSP_COUNT', expected yes or no" ;;
  esac
  # These go into the kernel's command line: nothing that could be taken for another word may pass.
  case "${OSP_HOSTNAME:=}" in
    *[!A-Za-z0-9._-]*) fail "parameter hostname is '$OSP_HOSTNAME', expected letters, digits, '.', '_' and '-'" ;;
  esac
  case "${OSP_IP:=}" in
    '') ;;
    *[!0-9a-fA-F.:/]*) fail "parameter ip is '$OSP_IP', expected an address with prefix length, as in 192.0.2.10/24" ;;
    */*) ;;
    *) fail "parameter ip is '$OSP_IP', expected a prefix length after it, as in 192.0.2.10/24" ;;
  esac
  case "${OSP_GATEWAY:=}" in
    *[!0-9a-fA-F.:]*) fail "parameter gateway is '$OSP_GATEWAY', expected an address" ;;
  esac
}

# boot_config NAME: what syslinux reads.
boot_config() {
  cat <<CONFIG
SERIAL 0 115200
DEFAULT skein
PROMPT 0
TIMEOUT 0
LABEL skein
  KERNEL vmlinuz
  INITRD initrd.gz
  APPEND console=ttyS0,115200 quiet panic=10 skein.hostname=$1 skein.count=$OSP_COUNT skein.ip=$OSP_IP skein.gateway=$OSP_GATEWAY
CONFIG
}
