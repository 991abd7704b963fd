import assert from 'node:assert/strict';
import test from 'node:test';
import { guestSpec, nicSpec } from '../../testing/guest-spec.ts';
import type { GuestSpec } from '../../types.ts';
import { kvmArguments } from './kvm-arguments.ts';

const files = { qmp: '/run/a/qmp.sock', serial: '/run/a/serial.sock', console_log: '/run/a/console.log' };
const disk = { path: '/srv/a,b/x.img', mode: 'rw', uuid: '11111111-2222-3333-4444-555555555555' } as const;

function argv(
  hvparams: GuestSpec['hvparams'],
  given: Partial<GuestSpec> = {},
  accel: 'kvm' | 'tcg' = 'tcg',
): readonly string[] {
  const guest = guestSpec({ hvparams, ...given });
  const taps = guest.nics.map((nic) => (nic.mode === 'user' ? null : `tap${nic.index}`));
  return kvmArguments({ qemu: '/usr/bin/qemu', accel, guest, files, taps });
}

/** Every value that follows an option; JSON is parsed. */
function values(list: readonly string[], option: string): readonly unknown[] {
  return list.flatMap((word, index) => {
    const value = list[index + 1];
    if (word !== option || value === undefined) return [];
    return [value.startsWith('{') ? JSON.parse(value) : value];
  });
}

test('every guest starts stopped, attached to nothing, with its monitor on a socket', () => {
  const list = argv({});
  for (const word of ['-S', '-nodefaults', '-no-user-config']) assert.ok(list.includes(word), word);
  assert.ok(!list.includes('-daemonize'));
  assert.deepEqual(values(list, '-display'), ['none']);
  assert.deepEqual(values(list, '-uuid'), ['6f1d3ad4-9b0e-4a6e-8a53-1f0a3c1d2b11']);
  assert.deepEqual(values(list, '-accel'), ['tcg,tb-size=32']);
  assert.deepEqual(values(list, '-chardev'), [
    'socket,id=qmp0,path=/run/a/qmp.sock,server=on,wait=off',
    'socket,id=serial0,path=/run/a/serial.sock,server=on,wait=off,logfile=/run/a/console.log,logappend=on',
  ]);
});

const table: readonly (readonly [string, GuestSpec['hvparams'], string, readonly unknown[]])[] = [
  ['no ACPI', { acpi: false }, '-machine', ['pc,acpi=off']],
  ['machine type', { machine_version: 'q35' }, '-machine', ['q35']],
  ['cpu type', { cpu_type: 'qemu64,+ssse3' }, '-cpu', ['qemu64,+ssse3']],
  ['topology', { cpu_sockets: 2, cpu_cores: 0, cpu_threads: 1 }, '-smp', ['1,sockets=2,threads=1']],
  ['no serial console', { serial_console: false }, '-serial', ['none']],
  ['local time', { use_localtime: true }, '-rtc', ['base=localtime']],
  ['vga', { vga: 'cirrus' }, '-vga', ['cirrus']],
  ['vnc on an address', { vnc_bind_address: '127.0.0.1' }, '-vnc', ['127.0.0.1:0,to=9999']],
  ['vnc on an IPv6 address', { vnc_bind_address: '::1' }, '-vnc', ['[::1]:0,to=9999']],
  ['vnc on a socket', { vnc_bind_address: '/run/vnc' }, '-vnc', ['unix:/run/vnc/web1.example.org.vnc']],
  ['vnc needs a display', { vnc_bind_address: '127.0.0.1' }, '-vga', ['std']],
  [
    'kernel',
    { kernel_path: '/boot/k', kernel_args: 'ro quiet', root_path: '/dev/vda1', serial_speed: '115200' },
    '-append',
    ['root=/dev/vda1 ro quiet console=ttyS0,115200'],
  ],
  [
    'kernel without console',
    { kernel_path: '/boot/k', root_path: '', kernel_args: 'ro', serial_console: false },
    '-append',
    ['ro'],
  ],
  ['initrd', { kernel_path: '/boot/k', initrd_path: '/boot/i' }, '-initrd', ['/boot/i']],
  ['no kernel, no append', { kernel_args: 'ro' }, '-append', []],
];
for (const [what, hvparams, option, expected] of table) {
  test(`${what}: ${option}`, () => assert.deepEqual(values(argv(hvparams), option), expected));
}

test('reboot_behavior=exit and kvm_extra', () => {
  assert.ok(argv({ reboot_behavior: 'exit' }).includes('-no-reboot'));
  assert.deepEqual(argv({ kvm_extra: ' -device  pvpanic ' }).slice(-2), ['-device', 'pvpanic']);
});

test('KVM passes the host processor through, and vhost only there', () => {
  const nics = [nicSpec({ mode: 'bridged', link: 'br0' })];
  const list = argv({ vhost_net: true }, { nics }, 'kvm');
  assert.deepEqual(values(list, '-cpu'), ['host']);
  assert.deepEqual(values(list, '-netdev'), ['tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=on']);
  assert.deepEqual(values(argv({ vhost_net: true }, { nics }), '-netdev'), [
    'tap,id=net0,ifname=tap0,script=no,downscript=no',
  ]);
});

test('a protected guest takes no image lock: a frozen copy on a lost host must not keep its successor away', () => {
  const locking = (is_protected: boolean) =>
    (values(argv({}, { disks: [disk], protected: is_protected }), '-blockdev')[0] as Record<string, unknown>)
      .locking;
  assert.deepEqual([locking(true), locking(false)], ['off', 'auto']);
});

test('disks: image lock on, cache and type as asked, boot order, any path', () => {
  const blockdevs = values(
    argv({ disk_cache: 'none', disk_aio: 'native' }, { disks: [disk], protected: false }),
    '-blockdev',
  ) as Record<string, unknown>[];
  assert.deepEqual(blockdevs[0], {
    driver: 'file',
    'node-name': 'file0',
    filename: '/srv/a,b/x.img',
    aio: 'native',
    locking: 'auto',
    cache: { direct: true, 'no-flush': false },
    discard: 'ignore',
    'read-only': false,
    'auto-read-only': false,
  });
  const device = (hvparams: GuestSpec['hvparams']) =>
    values(argv(hvparams, { disks: [disk] }), '-device').at(-1);
  const base = {
    id: 'dev-disk0',
    drive: 'disk0',
    serial: '11111111222233334444',
    'write-cache': 'on',
    bootindex: 1,
  };
  assert.deepEqual(device({}), { driver: 'virtio-blk-pci', ...base });
  assert.deepEqual(device({ disk_type: 'ide', disk_cache: 'writethrough' }), {
    driver: 'ide-hd',
    ...base,
    'write-cache': 'off',
  });
  assert.deepEqual(device({ disk_type: 'scsi-hd' }), { driver: 'scsi-hd', ...base, bus: 'scsi0.0' });
  assert.deepEqual(device({ boot_order: 'network,disk' }), {
    driver: 'virtio-blk-pci',
    ...base,
    bootindex: 17,
  });
  const read_only = values(argv({}, { disks: [{ ...disk, mode: 'ro' }] }), '-blockdev') as Record<
    string,
    unknown
  >[];
  assert.deepEqual(
    read_only.map((node) => node['read-only']),
    [true, true],
  );
  const block = values(argv({}, { disks: [{ ...disk, path: '/dev/vg/a' }] }), '-blockdev') as Record<
    string,
    unknown
  >[];
  assert.equal(block[0]?.['driver'], 'host_device');
});

test('NICs: a boot ROM only for who boots from the network; a tap for every mode but user', () => {
  const nics = [nicSpec()];
  assert.deepEqual(values(argv({}, { nics }), '-netdev'), ['user,id=net0']);
  const device = (hvparams: GuestSpec['hvparams']) => values(argv(hvparams, { nics }), '-device').at(-1);
  const base = { id: 'dev-net0', netdev: 'net0', mac: 'aa:00:00:12:34:56' };
  assert.deepEqual(device({}), { driver: 'virtio-net-pci', ...base, romfile: '' });
  assert.deepEqual(device({ nic_type: 'e1000', boot_order: 'network' }), {
    driver: 'e1000',
    ...base,
    bootindex: 1,
  });
  const guest = guestSpec({ nics: [nicSpec({ mode: 'bridged' })] });
  assert.throws(
    () => kvmArguments({ qemu: 'q', accel: 'tcg', guest, files, taps: [null] }),
    /NIC 0 of mode bridged/,
  );
});
