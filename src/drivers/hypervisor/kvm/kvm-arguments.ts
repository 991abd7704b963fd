/**
 * From the description of a guest to QEMU's command line: a pure function. Every guest starts with its CPUs stopped
 * (`-S`) so that its start is confirmed over QMP, never detaches, and has no device that it was not given.
 */
import { join } from 'node:path';
import type { GuestSpec, NicSpec } from '../../types.ts';
import type { GuestFiles } from './guest-directory.ts';

export interface KvmArguments {
  readonly qemu: string;
  readonly accel: 'kvm' | 'tcg';
  readonly guest: GuestSpec;
  readonly files: Pick<GuestFiles, 'qmp' | 'serial' | 'console_log'>;
  /** Tap of each NIC in order; null for QEMU's own user-mode network. */
  readonly taps: readonly (string | null)[];
}

/** MiB of translated code that TCG may keep: QEMU's own default is a quarter of the memory of the host. */
const tcg_buffer_mib = 32;

type Params = GuestSpec['hvparams'];

const str = (params: Params, name: string, fallback = ''): string => {
  const value = params[name];
  return value === undefined || value === null || value === '' ? fallback : String(value);
};
const flag = (params: Params, name: string, fallback: boolean): boolean => {
  const value = params[name];
  return typeof value === 'boolean' ? value : fallback;
};
/** QEMU splits options at commas; a doubled one is a comma. */
const escaped = (value: string): string => value.replaceAll(',', ',,');

function machine(params: Params): readonly string[] {
  const type = str(params, 'machine_version', 'pc');
  return ['-machine', flag(params, 'acpi', true) ? type : `${type},acpi=off`];
}

function processor({ accel, guest }: KvmArguments): readonly string[] {
  const { hvparams } = guest;
  const type = str(hvparams, 'cpu_type', accel === 'kvm' ? 'host' : '');
  const topology = (['sockets', 'cores', 'threads'] as const)
    .map((level) => [level, Number(hvparams[`cpu_${level}`] ?? 0)] as const)
    .filter(([, number]) => number > 0)
    .map(([level, number]) => `,${level}=${number}`);
  return [
    ...['-accel', accel === 'kvm' ? 'kvm' : `tcg,tb-size=${tcg_buffer_mib}`],
    ...(type === '' ? [] : ['-cpu', type]),
    ...['-smp', `${guest.vcpus}${topology.join('')}`],
    ...['-m', `size=${guest.memory_mib}M`],
    ...(str(hvparams, 'mem_path') === '' ? [] : ['-mem-path', str(hvparams, 'mem_path'), '-mem-prealloc']),
  ];
}

/** The first device kind in boot_order boots first; with a kernel given, QEMU boots that before any device. */
function bootIndex(params: Params, kind: 'disk' | 'cdrom' | 'network', index: number): number | null {
  const place = str(params, 'boot_order', 'disk').split(',').indexOf(kind);
  return place === -1 ? null : 1 + place * 16 + index;
}

function disks({ guest }: KvmArguments): readonly string[] {
  const { hvparams } = guest;
  const cache = str(hvparams, 'disk_cache', 'default');
  const type = str(hvparams, 'disk_type', 'paravirtual');
  const controller = str(hvparams, 'scsi_controller_type', 'lsi');
  const discard = str(hvparams, 'disk_discard', 'ignore') === 'unmap' ? 'unmap' : 'ignore';
  const argv: string[] = [];
  if (guest.disks.length > 0 && type.startsWith('scsi')) {
    argv.push(
      '-device',
      JSON.stringify({ driver: controller === 'lsi' ? 'lsi53c895a' : controller, id: 'scsi0' }),
    );
  }
  for (const [index, disk] of guest.disks.entries()) {
    const read_only = disk.mode === 'ro';
    const cache_mode = { direct: cache === 'none', 'no-flush': false };
    const file = {
      driver: /^\/dev\/(?!shm\/)/.test(disk.path) ? 'host_device' : 'file',
      'node-name': `file${index}`,
      filename: disk.path,
      aio: str(hvparams, 'disk_aio', 'threads'),
      // Two guests on one image is what must never be. For a protected guest the lease rules see to that; the lock
      // of a paused and frozen copy on a lost host would only keep its successor from starting.
      locking: guest.protected ? 'off' : 'auto',
      cache: cache_mode,
      discard,
      'read-only': read_only,
      'auto-read-only': false,
    };
    const raw = {
      driver: 'raw',
      'node-name': `disk${index}`,
      file: `file${index}`,
      cache: cache_mode,
      discard,
      'read-only': read_only,
    };
    const boot = bootIndex(hvparams, 'disk', index);
    const device = {
      driver: type === 'paravirtual' ? 'virtio-blk-pci' : type === 'ide' ? 'ide-hd' : 'scsi-hd',
      id: `dev-disk${index}`,
      drive: `disk${index}`,
      serial: disk.uuid.replaceAll('-', '').slice(0, 20),
      'write-cache': cache === 'writethrough' ? 'off' : 'on',
      ...(type.startsWith('scsi') ? { bus: 'scsi0.0' } : {}),
      ...(boot === null ? {} : { bootindex: boot }),
    };
    argv.push(
      '-blockdev',
      JSON.stringify(file),
      '-blockdev',
      JSON.stringify(raw),
      '-device',
      JSON.stringify(device),
    );
  }
  return argv;
}

function cdroms({ guest }: KvmArguments): readonly string[] {
  const argv: string[] = [];
  for (const [index, name] of ['cdrom_image_path', 'cdrom2_image_path'].entries()) {
    const path = str(guest.hvparams, name);
    if (path === '') continue;
    const node = `cdrom${index}`;
    const boot = bootIndex(guest.hvparams, 'cdrom', index);
    argv.push(
      '-blockdev',
      JSON.stringify({ driver: 'file', 'node-name': node, filename: path, 'read-only': true }),
    );
    argv.push(
      '-device',
      JSON.stringify({
        driver: 'ide-cd',
        id: `dev-${node}`,
        drive: node,
        ...(boot === null ? {} : { bootindex: boot }),
      }),
    );
  }
  return argv;
}

function nic({ accel, guest }: KvmArguments, spec: NicSpec, tap: string | null): readonly string[] {
  const { hvparams } = guest;
  if ((spec.mode === 'user') !== (tap === null))
    throw new Error(`NIC ${spec.index} of mode ${spec.mode} with tap ${tap}`);
  const type = str(hvparams, 'nic_type', 'paravirtual');
  const boot = bootIndex(hvparams, 'network', spec.index);
  const id = `net${spec.index}`;
  const vhost = accel === 'kvm' && type === 'paravirtual' && flag(hvparams, 'vhost_net', false);
  const backend =
    tap === null
      ? `user,id=${id}`
      : `tap,id=${id},ifname=${tap},script=no,downscript=no${vhost ? ',vhost=on' : ''}`;
  const device = {
    driver: type === 'paravirtual' ? 'virtio-net-pci' : type,
    id: `dev-${id}`,
    netdev: id,
    mac: spec.mac,
    ...(boot === null ? {} : { bootindex: boot }),
    // The boot ROM is only wanted by guests that boot from the network. (The ISA card has none.)
    ...(boot === null && type !== 'ne2k_isa' ? { romfile: '' } : {}),
  };
  return ['-netdev', backend, '-device', JSON.stringify(device)];
}

function kernel({ guest }: KvmArguments): readonly string[] {
  const { hvparams } = guest;
  const path = str(hvparams, 'kernel_path');
  if (path === '') return [];
  const initrd = str(hvparams, 'initrd_path');
  const root = str(hvparams, 'root_path');
  const serial = flag(hvparams, 'serial_console', true)
    ? `console=ttyS0,${str(hvparams, 'serial_speed', '38400')}`
    : '';
  const words = [root === '' ? '' : `root=${root}`, str(hvparams, 'kernel_args'), serial].filter(
    (word) => word !== '',
  );
  return ['-kernel', path, ...(initrd === '' ? [] : ['-initrd', initrd]), '-append', words.join(' ')];
}

function display({ guest }: KvmArguments): readonly string[] {
  const { hvparams, name } = guest;
  const bind = str(hvparams, 'vnc_bind_address');
  const vga = str(hvparams, 'vga', bind === '' ? 'none' : 'std');
  const mouse = str(hvparams, 'usb_mouse');
  const keymap = str(hvparams, 'keymap');
  const password = str(hvparams, 'vnc_password_file');
  const address = bind.startsWith('/')
    ? `unix:${escaped(join(bind, `${name}.vnc`))}`
    : `${bind.includes(':') ? `[${bind}]` : bind}:0,to=9999`;
  return [
    ...['-display', 'none', '-vga', vga],
    ...(mouse === '' ? [] : ['-device', 'qemu-xhci,id=usb0', '-device', `usb-${mouse}`]),
    ...(keymap === '' ? [] : ['-k', keymap]),
    ...(bind === '' || password === '' ? [] : ['-object', `secret,id=vncpw,file=${escaped(password)}`]),
    ...(bind === '' ? [] : ['-vnc', `${address}${password === '' ? '' : ',password-secret=vncpw'}`]),
  ];
}

function channels({ guest, files }: KvmArguments): readonly string[] {
  const qmp = [
    '-chardev',
    `socket,id=qmp0,path=${escaped(files.qmp)},server=on,wait=off`,
    '-mon',
    'chardev=qmp0,mode=control',
  ];
  if (!flag(guest.hvparams, 'serial_console', true)) return [...qmp, '-serial', 'none'];
  const socket = `socket,id=serial0,path=${escaped(files.serial)},server=on,wait=off`;
  // The console's history is kept from boot on, whether or not somebody looks.
  return [
    ...qmp,
    '-chardev',
    `${socket},logfile=${escaped(files.console_log)},logappend=on`,
    '-serial',
    'chardev:serial0',
  ];
}

/** QEMU's argument list for a guest whose parameters were validated. `kvm_extra` is split at white space, last. */
export function kvmArguments(input: KvmArguments): readonly string[] {
  const { qemu, guest, taps } = input;
  const extra = str(guest.hvparams, 'kvm_extra');
  return [
    ...[qemu, '-name', `guest=${escaped(guest.name)},debug-threads=on`, '-uuid', guest.uuid],
    ...['-nodefaults', '-no-user-config', '-S', '-msg', 'timestamp=on'],
    ...machine(guest.hvparams),
    ...processor(input),
    ...['-rtc', flag(guest.hvparams, 'use_localtime', false) ? 'base=localtime' : 'base=utc'],
    ...(str(guest.hvparams, 'reboot_behavior', 'reboot') === 'exit' ? ['-no-reboot'] : []),
    ...kernel(input),
    ...disks(input),
    ...cdroms(input),
    ...guest.nics.flatMap((spec, index) => nic(input, spec, taps[index] ?? null)),
    ...display(input),
    ...channels(input),
    ...(extra === '' ? [] : extra.trim().split(/\s+/)),
  ];
}
