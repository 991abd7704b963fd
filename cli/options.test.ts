import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError } from './exit-status.ts';
import { instanceCreateOp } from './instance-add.ts';
import {
  parseHypervisorParams,
  parseIdentKeyValues,
  parseIndexed,
  parseKeyValues,
  parseWhole,
  parseYesNo,
  unescapeAndSplit,
} from './key-values.ts';
import { parseBackendParams, typeHypervisorParams } from './param-types.ts';
import { formatSize, parseDuration, parseSize } from './sizes.ts';

/** The call fails as a mistake of usage, and its message names `value`. */
function refuses(act: () => unknown, value: string): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof CliError, String(error));
    assert.ok(error.message.includes(value), error.message);
    assert.equal(error.exit, 2);
    assert.notEqual(error.next, '');
    return true;
  });
}

test('sizes are MiB, with Ganeti’s units', () => {
  const table: readonly [string, number][] = [
    ['512', 512],
    ['512m', 512],
    ['1g', 1024],
    ['1.5G', 1536],
    ['2t', 2_097_152],
    ['10GiB', 10_240],
    ['1.1m', 2],
    ['0', 0],
  ];
  for (const [text, mib] of table) assert.equal(parseSize(text), mib, text);
  for (const text of ['', '-1', 'x', '1k', '1gg', '1e3', 'g', '9999999999999999t'])
    refuses(() => parseSize(text), `"${text}"`);
  assert.deepEqual(
    [128, 1024, 1536, 1_572_864].map((mib) => formatSize(mib, 'h')),
    ['128M', '1.0G', '1.5G', '1.5T'],
  );
  assert.deepEqual(
    [formatSize(1536, 'm'), formatSize(1536, 'g'), formatSize(1_572_864, 't')],
    ['1536', '1.5', '1.5'],
  );
});

test('durations', () => {
  assert.deepEqual(
    ['90', '30s', '10m', '2h', '1d', '1w'].map((text) => parseDuration(text)),
    [90, 30, 600, 7200, 86_400, 604_800],
  );
  for (const text of ['', '1x', '-5', '1.5h']) refuses(() => parseDuration(text), `"${text}"`);
});

test('key=value lists with Ganeti’s escapes', () => {
  assert.deepEqual(unescapeAndSplit('a,b\\,c,d\\\\,e\\f'), ['a', 'b,c', 'd\\', 'e\\f']);
  assert.deepEqual(parseKeyValues('a=1,b,no_c,-d,e=x=y,f=', '-H'), {
    a: '1',
    b: true,
    c: false,
    d: null,
    e: 'x=y',
    f: '',
  });
  assert.deepEqual(parseKeyValues('args=a\\,b\\\\,n=2', '-H'), { args: 'a,b\\', n: '2' });
  assert.deepEqual(parseKeyValues('', '-H'), {});
  refuses(() => parseKeyValues('=1', '-H'), '=1');
  refuses(() => parseKeyValues('a=1,a=2', '-H'), '"a"');
  assert.deepEqual(parseIdentKeyValues('0:size=1g,mode=ro', '--disk'), {
    id: '0',
    values: { size: '1g', mode: 'ro' },
  });
  refuses(() => parseIdentKeyValues(':a=1', '--disk'), ':a=1');
});

test('hypervisor parameters with and without the hypervisor', () => {
  assert.deepEqual(parseHypervisorParams('kvm:acpi=no', '-H'), { hypervisor: 'kvm', values: { acpi: 'no' } });
  assert.deepEqual(parseHypervisorParams('kvm', '-H'), { hypervisor: 'kvm', values: {} });
  assert.deepEqual(parseHypervisorParams('kernel_args=a:b', '-H'), {
    hypervisor: null,
    values: { kernel_args: 'a:b' },
  });
  assert.deepEqual(
    typeHypervisorParams({
      acpi: 'no',
      serial_speed: '9600',
      kernel_args: 'ro',
      boot_order: 'default',
      vhost_net: true,
    }),
    {
      acpi: false,
      serial_speed: 9600,
      kernel_args: 'ro',
      boot_order: 'default',
      vhost_net: true,
    },
  );
  refuses(() => typeHypervisorParams({ acpi: 'maybe' }), 'maybe');
  refuses(() => typeHypervisorParams({ serial_speed: 'fast' }), 'fast');
});

test('backend parameters', () => {
  assert.deepEqual(parseBackendParams('memory=256m,vcpus=2,auto_balance=no,maxmem=default,-minmem'), {
    memory: 256,
    vcpus: 2,
    auto_balance: false,
    maxmem: 'default',
    minmem: null,
  });
  refuses(() => parseBackendParams('mem=1g'), '"mem"');
  refuses(() => parseBackendParams('vcpus=two'), 'two');
  refuses(() => parseBackendParams('memory=lots'), 'lots');
  refuses(() => parseBackendParams('memory'), 'memory');
});

test('indexed options have no gaps and no doubles', () => {
  assert.deepEqual(parseIndexed(['1:size=2g', '0:size=1g'], '--disk'), [{ size: '1g' }, { size: '2g' }]);
  refuses(() => parseIndexed(['0:size=1g', '0:size=2g'], '--disk'), 'index 0');
  refuses(() => parseIndexed(['1:size=1g'], '--disk'), 'index 1');
  refuses(() => parseIndexed(['x:size=1g'], '--disk'), '"x"');
});

test('yes, no and whole numbers', () => {
  assert.equal(parseYesNo('yes', '-O'), true);
  assert.equal(parseYesNo('no', '-O'), false);
  refuses(() => parseYesNo('ja', '-O'), '"ja"');
  assert.equal(parseWhole('12', '-C'), 12);
  refuses(() => parseWhole('0', '-C', 1), '"0"');
  refuses(() => parseWhole('1.5', '-C'), '"1.5"');
});

const plain = { nics: true, start: true, install: true, waitForSync: true, conflictsCheck: true };

test('instance add: options become one opcode with nothing that was not given', () => {
  assert.deepEqual(
    instanceCreateOp('web1', {
      ...plain,
      diskTemplate: 'sharedfile',
      node: 'n2',
      osType: 'noop',
      disk: ['0:size=1g', '1:size=512m,mode=ro'],
      net: ['0:mode=bridged,link=br0,ip=none,mac=auto'],
      backendParameters: 'memory=256m,vcpus=1',
      hypervisorParameters: 'kvm:kernel_path=,serial_console=yes',
      osParameters: 'a=b',
      tags: 'web,prod',
    }),
    {
      OP_ID: 'OP_INSTANCE_CREATE',
      mode: 'create',
      instance_name: 'web1',
      disk_template: 'sharedfile',
      pnode: 'n2',
      os_type: 'noop',
      disks: [{ size: 1024 }, { size: 512, mode: 'ro' }],
      nics: [{ mode: 'bridged', link: 'br0', ip: null, mac: 'auto' }],
      beparams: { memory: 256, vcpus: 1 },
      hypervisor: 'kvm',
      hvparams: { kernel_path: '', serial_console: true },
      osparams: { a: 'b' },
      start: true,
      tags: ['web', 'prod'],
    },
  );
  const small = instanceCreateOp('x', {
    ...plain,
    diskTemplate: 'diskless',
    nics: false,
    install: false,
    start: false,
  });
  assert.deepEqual(small, {
    OP_ID: 'OP_INSTANCE_CREATE',
    mode: 'create',
    instance_name: 'x',
    disk_template: 'diskless',
    disks: [],
    nics: [],
    start: false,
    no_install: true,
  });
  assert.deepEqual(instanceCreateOp('x', { ...plain, osSize: '2g', osType: 'noop' }).disks, [{ size: 2048 }]);
  assert.deepEqual(instanceCreateOp('x', { ...plain, osSize: '2g', osType: 'noop' }).nics, [{}]);
});

test('instance add refuses what does not fit together', () => {
  const os = { ...plain, osType: 'noop' };
  refuses(() => instanceCreateOp('x', { ...os }), 'disk');
  refuses(() => instanceCreateOp('x', { ...os, osSize: '1g', disk: ['0:size=1g'] }), '--disk');
  refuses(() => instanceCreateOp('x', { ...os, disk: ['0:mode=rw'] }), 'disk 0');
  refuses(() => instanceCreateOp('x', { ...os, disk: ['0:size=big'] }), 'big');
  refuses(
    () => instanceCreateOp('x', { ...os, osSize: '1g', nics: false, net: ['0:mode=bridged'] }),
    '--net',
  );
  refuses(() => instanceCreateOp('x', { ...os, diskTemplate: 'diskless', osSize: '1g' }), 'diskless');
  refuses(() => instanceCreateOp('x', { ...plain, osSize: '1g' }), 'operating system');
});
