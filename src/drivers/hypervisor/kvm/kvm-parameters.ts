/**
 * The KVM hypervisor's parameters: Ganeti's names, what this driver accepts for each, and what it does not do yet. One
 * table gives both the check and its error text. A parameter that we would have to ignore is refused unless it has
 * the value that asks for nothing.
 */
import { isIP } from 'node:net';
import { DriverError, type GuestSpec } from '../../types.ts';

type Value = string | number | boolean | null;

interface Rule {
  readonly expected: string;
  readonly accepts: (value: Value) => boolean;
}

const oneOf = (...values: readonly string[]): Rule => ({
  expected: `one of ${values.map((value) => (value === '' ? '""' : value)).join(', ')}`,
  accepts: (value) => typeof value === 'string' && values.includes(value),
});
const bool: Rule = { expected: 'true or false', accepts: (value) => typeof value === 'boolean' };
const text: Rule = {
  expected: 'text on one line',
  accepts: (value) => typeof value === 'string' && !/[\n\r\0]/.test(value),
};
const path: Rule = {
  expected: 'an absolute path or ""',
  accepts: (value) => value === '' || (text.accepts(value) && String(value).startsWith('/')),
};
const count = (min: number, max: number): Rule => ({
  expected: `a whole number from ${min} to ${max}`,
  accepts: (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
});
/** Ganeti has it, we do not yet: only the values that ask for nothing pass. */
const unsupported = (...neutral: readonly Value[]): Rule => ({
  expected: `${neutral.map((value) => JSON.stringify(value)).join(' or ')} (anything else is not supported yet)`,
  accepts: (value) => neutral.includes(value),
});
const anything: Rule = { expected: 'anything', accepts: () => true };

const boot_devices = ['disk', 'network', 'cdrom', 'floppy'];
/** Options that would take the process out of its keeper's hands, or change what its start means. */
const forbidden_extra = [
  '-daemonize',
  '--daemonize',
  '-S',
  '-incoming',
  '--incoming',
  '-pidfile',
  '-runas',
  '-chroot',
  '-qmp',
  '-preconfig',
];

export const kvm_rules: Readonly<Record<string, Rule>> = {
  acpi: bool,
  boot_order: {
    expected: `a comma-separated list of ${boot_devices.join(', ')}`,
    accepts: (value) =>
      typeof value === 'string' && value.split(',').every((item) => boot_devices.includes(item)),
  },
  kernel_path: path,
  initrd_path: path,
  kernel_args: text,
  root_path: text,
  cdrom_image_path: path,
  cdrom2_image_path: path,
  floppy_image_path: unsupported('', null),
  cdrom_disk_type: unsupported('', 'ide', null),
  cpu_cores: count(0, 256),
  cpu_sockets: count(0, 256),
  cpu_threads: count(0, 256),
  cpu_mask: unsupported('all', '', null),
  cpu_type: text,
  disk_type: oneOf('paravirtual', 'ide', 'scsi', 'scsi-hd'),
  scsi_controller_type: oneOf('lsi', 'virtio-scsi-pci', 'megasas'),
  disk_cache: oneOf('default', 'none', 'writethrough', 'writeback'),
  disk_aio: oneOf('threads', 'native', 'io_uring'),
  disk_discard: oneOf('default', 'ignore', 'unmap'),
  nic_type: oneOf(
    'paravirtual',
    'rtl8139',
    'ne2k_isa',
    'ne2k_pci',
    'i82551',
    'i82557b',
    'i82559er',
    'pcnet',
    'e1000',
  ),
  vhost_net: bool,
  virtio_net_queues: unsupported(1, null),
  vnet_hdr: bool,
  kvm_flag: oneOf('', 'enabled', 'disabled'),
  kvm_path: path,
  kvm_extra: {
    expected: `text without ${forbidden_extra.join(', ')}`,
    accepts: (value) =>
      text.accepts(value) &&
      !String(value)
        .split(/\s+/)
        .some((word) => forbidden_extra.includes(word)),
  },
  kvm_pci_reservations: count(0, 32),
  machine_version: {
    expected: 'a QEMU machine type',
    accepts: (value) => typeof value === 'string' && /^[A-Za-z0-9._-]*$/.test(value),
  },
  mem_path: path,
  keymap: {
    expected: 'a keymap name',
    accepts: (value) => typeof value === 'string' && /^[a-z0-9-]*$/.test(value),
  },
  migration_bandwidth: anything,
  migration_caps: anything,
  migration_downtime: anything,
  migration_mode: anything,
  migration_port: anything,
  reboot_behavior: oneOf('reboot', 'exit'),
  security_model: oneOf('none'),
  security_domain: unsupported('', null),
  serial_console: bool,
  serial_speed: oneOf('9600', '19200', '38400', '57600', '115200'),
  soundhw: unsupported('', null),
  spice_bind: unsupported('', null),
  usb_devices: unsupported('', null),
  usb_mouse: oneOf('', 'mouse', 'tablet'),
  use_chroot: unsupported(false, null),
  use_guest_agent: unsupported(false, null),
  use_localtime: bool,
  user_shutdown: bool,
  vga: oneOf('', 'std', 'cirrus', 'vmware', 'qxl', 'virtio', 'none'),
  vnc_bind_address: {
    expected: 'an IP address, the absolute path of a directory for the socket, or ""',
    accepts: (value) => path.accepts(value) || (typeof value === 'string' && isIP(value) !== 0),
  },
  vnc_password_file: path,
  vnc_tls: unsupported(false, null),
  vnc_x509_path: unsupported('', null),
  vnc_x509_verify: unsupported(false, null),
};

/** Numbers that Ganeti has always taken as text, too. */
function normalized(name: string, value: Value): Value {
  return name === 'serial_speed' && typeof value === 'number' ? String(value) : value;
}

/** Throws `invalid` naming the parameter, its value and what was expected. Missing and null mean: the default. */
export function validateKvmParameters(hvparams: GuestSpec['hvparams']): void {
  for (const [name, value] of Object.entries(hvparams)) {
    // What belongs to SPICE alone means nothing while SPICE is off, which its address decides.
    if (name.startsWith('spice_') && name !== 'spice_bind') continue;
    const rule = kvm_rules[name];
    if (rule === undefined) {
      throw new DriverError(
        'invalid',
        `hypervisor parameter ${name}: unknown for kvm`,
        `known: ${Object.keys(kvm_rules).join(', ')}`,
      );
    }
    if (value === null) continue;
    if (!rule.accepts(normalized(name, value))) {
      throw new DriverError(
        'invalid',
        `hypervisor parameter ${name}=${JSON.stringify(value)}: expected ${rule.expected}`,
      );
    }
  }
  const get = (name: string): Value => hvparams[name] ?? null;
  if (get('disk_aio') === 'native' && get('disk_cache') !== 'none') {
    throw new DriverError(
      'invalid',
      `hypervisor parameter disk_aio="native": expected disk_cache=none with it, not ${JSON.stringify(get('disk_cache') ?? 'default')}`,
    );
  }
  if (!get('kernel_path') && get('initrd_path')) {
    throw new DriverError(
      'invalid',
      `hypervisor parameter initrd_path=${JSON.stringify(get('initrd_path'))}: expected kernel_path with it`,
    );
  }
}
