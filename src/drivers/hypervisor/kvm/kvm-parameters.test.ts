import assert from 'node:assert/strict';
import test from 'node:test';
import type { DriverError, GuestSpec } from '../../types.ts';
import { validateKvmParameters } from './kvm-parameters.ts';

test("Ganeti's defaults pass, and so does nothing at all", () => {
  validateKvmParameters({});
  validateKvmParameters({
    ...{
      acpi: true,
      boot_order: 'disk',
      kernel_path: '',
      initrd_path: '',
      kernel_args: 'ro',
      root_path: '/dev/vda1',
    },
    ...{ cdrom_image_path: '', cdrom2_image_path: '', floppy_image_path: '', cdrom_disk_type: '' },
    ...{ cpu_cores: 0, cpu_sockets: 0, cpu_threads: 0, cpu_mask: 'all', cpu_type: '' },
    ...{ disk_aio: 'threads', disk_cache: 'default', disk_discard: 'ignore', disk_type: 'paravirtual' },
    ...{
      scsi_controller_type: 'lsi',
      nic_type: 'paravirtual',
      vhost_net: true,
      virtio_net_queues: 1,
      vnet_hdr: true,
    },
    ...{
      kvm_path: '/usr/bin/kvm',
      kvm_extra: '',
      kvm_flag: '',
      machine_version: '',
      keymap: '',
      mem_path: '',
    },
    ...{ kvm_pci_reservations: 12, migration_bandwidth: 32, migration_downtime: 30, migration_port: 8102 },
    ...{
      migration_mode: 'live',
      migration_caps: '',
      reboot_behavior: 'reboot',
      security_model: 'none',
      security_domain: '',
    },
    ...{ serial_console: true, serial_speed: '38400', soundhw: '', vga: '', usb_mouse: '', usb_devices: '' },
    ...{
      spice_bind: '',
      spice_ip_version: 0,
      spice_use_tls: false,
      spice_tls_ciphers: 'HIGH',
      spice_use_vdagent: true,
    },
    ...{
      vnc_bind_address: '',
      vnc_password_file: '',
      vnc_tls: false,
      vnc_x509_path: '',
      vnc_x509_verify: false,
    },
    ...{ use_chroot: false, use_guest_agent: false, use_localtime: false, user_shutdown: false },
  });
});

const bad: readonly (readonly [GuestSpec['hvparams'], RegExp])[] = [
  [{ acpi: 'yes' }, /acpi="yes": expected true or false/],
  [{ boot_order: 'disk,usb' }, /boot_order="disk,usb": expected a comma-separated list of disk, network/],
  [{ disk_type: 'floppy' }, /disk_type="floppy": expected one of paravirtual/],
  [{ security_model: 'pool' }, /security_model="pool": expected one of none/],
  [{ kernel_path: 'vmlinuz' }, /kernel_path="vmlinuz": expected an absolute path/],
  [{ kernel_args: 'ro\nquiet' }, /kernel_args="ro\\nquiet": expected text on one line/],
  [{ vnc_bind_address: 'eth0' }, /vnc_bind_address="eth0": expected an IP address/],
  [{ kvm_extra: '-m 5 -daemonize' }, /kvm_extra="-m 5 -daemonize": expected text without -daemonize/],
  [{ use_chroot: true }, /use_chroot=true: expected false.*not supported yet/],
  [{ spice_bind: '127.0.0.1' }, /spice_bind/],
  [{ disk_aio: 'native' }, /disk_aio="native": expected disk_cache=none with it, not "default"/],
  [{ initrd_path: '/boot/i' }, /initrd_path="\/boot\/i": expected kernel_path with it/],
  [{ machine_version: 'pc,accel=kvm' }, /machine_version/],
  [{ cpu_cores: -1 }, /cpu_cores=-1: expected a whole number from 0 to 256/],
  [{ cpu_colour: 'red' }, /cpu_colour: unknown for kvm/],
];
for (const [hvparams, message] of bad) {
  test(`refuses ${JSON.stringify(hvparams)}, naming value and expectation`, () => {
    assert.throws(
      () => validateKvmParameters(hvparams),
      (error: DriverError) => error.code === 'invalid' && message.test(error.message),
    );
  });
}
