/**
 * What parameters are when nobody has set them: the lowest layer of inheritance. Ganeti's values, except where noted.
 */
import type { Balancing, HaParams, Params } from './model.ts';

export interface BeParams {
  /** MiB */
  readonly maxmem: number;
  /** MiB */
  readonly minmem: number;
  readonly vcpus: number;
  readonly auto_balance: boolean;
  readonly always_failover: boolean;
  readonly spindle_use: number;
}

export interface NicParams {
  /** `bridged`, `routed`, `openvswitch`; `user` is QEMU's user-mode network, for hosts without root (not Ganeti's). */
  readonly mode: string;
  readonly link: string;
  readonly vlan: string;
}

export const default_beparams: BeParams = {
  maxmem: 128,
  minmem: 128,
  vcpus: 1,
  auto_balance: true,
  always_failover: false,
  spindle_use: 1,
};

/** Ganeti's Debian builds say `br0` too. */
export const default_nicparams: NicParams = { mode: 'bridged', link: 'br0', vlan: '' };

export const default_ndparams: Params = {
  oob_program: '',
  spindle_count: 1,
  exclusive_storage: false,
  ovs: false,
  ovs_name: 'switch1',
  ovs_link: '',
  ssh_port: 22,
  cpu_speed: 1.0,
};

/** Differs from Ganeti in `kernel_path`: empty, so that a guest boots from its disk unless told otherwise. */
const kvm: Params = {
  acpi: true,
  boot_order: 'disk',
  cdrom_image_path: '',
  cdrom2_image_path: '',
  floppy_image_path: '',
  cdrom_disk_type: '',
  cpu_cores: 0,
  cpu_sockets: 0,
  cpu_threads: 0,
  cpu_mask: 'all',
  cpu_type: '',
  disk_aio: 'threads',
  disk_cache: 'default',
  disk_discard: 'ignore',
  disk_type: 'paravirtual',
  scsi_controller_type: 'lsi',
  nic_type: 'paravirtual',
  vhost_net: true,
  virtio_net_queues: 1,
  vnet_hdr: true,
  kernel_path: '',
  initrd_path: '',
  kernel_args: 'ro',
  root_path: '/dev/vda1',
  kvm_path: '/usr/bin/kvm',
  kvm_extra: '',
  kvm_flag: '',
  machine_version: '',
  keymap: '',
  kvm_pci_reservations: 12,
  mem_path: '',
  migration_bandwidth: 32,
  migration_downtime: 30,
  migration_port: 8102,
  migration_mode: 'live',
  migration_caps: '',
  reboot_behavior: 'reboot',
  security_model: 'none',
  security_domain: '',
  serial_console: true,
  serial_speed: 38400,
  soundhw: '',
  vga: '',
  usb_mouse: '',
  usb_devices: '',
  spice_bind: '',
  spice_ip_version: 0,
  spice_password_file: '',
  spice_image_compression: '',
  spice_jpeg_wan_compression: '',
  spice_zlib_glz_wan_compression: '',
  spice_streaming_video: '',
  spice_playback_compression: true,
  spice_use_vdagent: true,
  spice_use_tls: false,
  spice_tls_ciphers: 'HIGH:-DES:-3DES:-EXPORT:-DH',
  vnc_bind_address: '',
  vnc_password_file: '',
  vnc_tls: false,
  vnc_x509_path: '',
  vnc_x509_verify: false,
  use_chroot: false,
  use_guest_agent: false,
  use_localtime: false,
  user_shutdown: false,
};

const fake: Params = { migration_mode: 'live' };

/** By hypervisor; one that is not here has no defaults of ours. */
export const default_hvparams: { readonly [hypervisor: string]: Params } = { kvm, fake };

/** Of a cluster that is told to balance itself, and nothing else. */
export const default_balancing: Balancing = {
  moves_per_hour: 6,
  start_gain: 0.1,
  min_gain: 0.01,
  gain_per_gib: 0,
  gain_per_down_s: 0,
  allow_restart: false,
};

/** docs/ha.md: H, L, K, W (a keeper that kills by itself), G, drift. */
export const default_ha: HaParams = {
  renew_ms: 1_000,
  lease_ms: 10_000,
  guard_slack_ms: 2_000,
  kill_ms: 5_000,
  margin_ms: 3_000,
  drift: 0.01,
  autorepair: 'failover',
};

/** The same rules, faster, for tests and labs on one quiet machine. */
export const scaled_ha: HaParams = {
  renew_ms: 200,
  lease_ms: 2_000,
  guard_slack_ms: 500,
  kill_ms: 1_000,
  margin_ms: 500,
  drift: 0.01,
  autorepair: 'failover',
};
