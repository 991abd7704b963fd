/** Inheritance, the horizon, protection, names. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonical, sameData } from './canonical.ts';
import { default_ha, default_hvparams, scaled_ha } from './defaults.ts';
import { horizonMs } from './horizon.ts';
import { jobKey, stepKey } from './keys.ts';
import { fillBeParams, fillHvParams, fillNdParams, fillNicParams, fillOsParams } from './params.ts';
import { autorepairPolicy, isProtected } from './protected.ts';
import { cluster as empty, group, node } from './test-fixtures.ts';
import { checkDirectory, checkHostName, checkIp, checkMac, checkTag } from './validate.ts';

describe('inheritance', () => {
  it('hvparams: built-in, cluster, OS, variant, instance', () => {
    const cluster = {
      hvparams: { kvm: { serial_speed: 1, acpi: false, cpu_type: 'a' } },
      os_hvp: {
        debian: { kvm: { serial_speed: 2, cpu_type: 'b' } },
        'debian+mini': { kvm: { serial_speed: 3 } },
      },
    };
    const filled = fillHvParams(cluster, {
      hypervisor: 'kvm',
      os: 'debian+mini',
      hvparams: { kernel_path: '/k' },
    });
    assert.deepEqual(
      [filled.serial_speed, filled.acpi, filled.cpu_type, filled.kernel_path, filled.disk_type],
      [3, false, 'b', '/k', 'paravirtual'],
    );
    assert.equal(fillHvParams(cluster, { hypervisor: 'kvm', os: 'debian', hvparams: {} }).serial_speed, 2);
    assert.deepEqual(fillHvParams(cluster, { hypervisor: 'xen', os: '', hvparams: {} }), {});
    assert.equal(default_hvparams.kvm?.kernel_path, '');
  });

  it('beparams: `memory` sets both, in any layer', () => {
    assert.deepEqual(fillBeParams({ beparams: { memory: 512 } }, { beparams: { minmem: 256 } }), {
      maxmem: 512,
      minmem: 256,
      vcpus: 1,
      auto_balance: true,
      always_failover: false,
      spindle_use: 1,
    });
    assert.equal(fillBeParams({ beparams: { maxmem: 512 } }, { beparams: { memory: 64 } }).maxmem, 64);
  });

  it('nicparams, ndparams, osparams', () => {
    assert.deepEqual(fillNicParams({ nicparams: { link: 'br1' } }, { nicparams: { mode: 'user' } }), {
      mode: 'user',
      link: 'br1',
      vlan: '',
    });
    assert.equal(
      fillNdParams({ ndparams: { ssh_port: 1 } }, { ndparams: { ssh_port: 2 } }, node).ssh_port,
      2,
    );
    assert.equal(fillNdParams(empty, group, { ndparams: { ssh_port: 3 } }).ssh_port, 3);
    const os = { osparams: { debian: { a: '1', b: '1' }, 'debian+x': { b: '2' } } };
    assert.deepEqual(fillOsParams(os, { os: 'debian+x', osparams: { c: '3' } }), { a: '1', b: '2', c: '3' });
  });
});

describe('horizon', () => {
  it('is 25.44 s with the defaults', () => assert.equal(horizonMs(default_ha, default_ha), 25_440));
  it('is (2000 + 500 + 2000) * 1.02 + 500 with the scaled set', () =>
    assert.equal(horizonMs(scaled_ha, scaled_ha), 5_090));
  it('takes the values that the node may still hold', () => {
    assert.equal(horizonMs(default_ha, { lease_ms: 20_000, guard_slack_ms: 2_000, kill_ms: 5_000 }), 35_640);
  });
});

describe('protection', () => {
  const tag = (type: string): string => `ganeti:watcher:autorepair:${type}`;
  const policy = (instance: string[], inGroup: string[], cluster: string[], time = 1_000): string =>
    autorepairPolicy({ tags: cluster, ha: default_ha }, { tags: inGroup }, { tags: instance }, time);
  const policies: readonly (readonly [string, string[], string[], string[], string])[] = [
    ['the cluster default', [], [], [], 'failover'],
    ['the cluster tag over the default', [], [], [tag('migrate')], 'migrate'],
    ['the group over the cluster', [], [tag('fix-storage')], [tag('reinstall')], 'fix-storage'],
    ['the instance over all', [tag('reinstall')], [tag('fix-storage')], [tag('migrate')], 'reinstall'],
    ['the least of several', [tag('reinstall'), tag('migrate')], [], [], 'migrate'],
    ['a suspension for ever', [tag('suspend'), tag('failover')], [], [], 'off'],
    ['a suspension until later', [tag('suspend:1001'), tag('failover')], [], [], 'off'],
    ['a suspension that is over', [tag('suspend:1000'), tag('reinstall')], [], [], 'reinstall'],
    ['a suspension that cannot be read', [tag('suspend:soon')], [], [], 'off'],
    ['a suspension over what is outside', [], [tag('suspend')], [tag('failover')], 'off'],
    [
      'unknown types and results, not at all',
      [tag('magic'), tag('result:failover:1:2:success:3')],
      [],
      [],
      'failover',
    ],
  ];
  for (const [what, instance, inGroup, cluster, expected] of policies) {
    it(`policy: ${what}`, () => assert.equal(policy(instance, inGroup, cluster), expected));
  }

  const protection: readonly (readonly [string, string, string[], boolean])[] = [
    ['diskless', 'diskless', [], true],
    ['sharedfile', 'sharedfile', [], true],
    ['file', 'file', [], false],
    ['sharedfile, only migrate', 'sharedfile', [tag('migrate')], false],
    ['sharedfile, suspended', 'sharedfile', [tag('suspend')], false],
    ['sharedfile, reinstall', 'sharedfile', [tag('reinstall')], true],
  ];
  for (const [what, template, tags, expected] of protection) {
    it(`${what}: ${expected}`, () => {
      const disks = template === 'diskless' ? [] : [{ dev_type: template }];
      assert.equal(isProtected(empty, { tags, disk_template: template }, disks, group, 1_000), expected);
    });
  }

  it('off for the cluster is off; a local disk among shared ones is no', () => {
    assert.equal(
      isProtected(
        { tags: [], ha: { ...default_ha, autorepair: 'off' } },
        { tags: [], disk_template: 'diskless' },
        [],
        null,
        0,
      ),
      false,
    );
    assert.equal(
      isProtected(
        empty,
        { tags: [], disk_template: 'sharedfile' },
        [{ dev_type: 'sharedfile' }, { dev_type: 'file' }],
        null,
        0,
      ),
      false,
    );
  });
});

describe('names', () => {
  const good = (check: (text: string) => string | null, ...texts: string[]): void => {
    for (const text of texts) assert.equal(check(text), null, text);
  };
  const bad = (check: (text: string) => string | null, ...texts: string[]): void => {
    for (const text of texts) assert.match(check(text) ?? 'accepted', /expected/, text);
  };
  it('hosts', () => {
    good(checkHostName, 'a', 'node1', 'web-1.example.com', '1a', 'x'.repeat(63));
    bad(
      checkHostName,
      '',
      '-a',
      'a-',
      'a..b',
      'a.',
      'A',
      'a_b',
      'a b',
      'ä',
      'x'.repeat(64),
      `${'x.'.repeat(127)}x`,
    );
  });
  it('tags', () => {
    good(checkTag, 'a', 'ganeti:watcher:autorepair:failover', 'A.+*/:@-_9', 'x'.repeat(128));
    bad(checkTag, '', 'a b', 'a;b', 'ä', 'x'.repeat(129), 'a\n');
  });
  it('addresses and directories', () => {
    good(checkIp, '192.0.2.1', '2001:db8::1', '::');
    bad(checkIp, '', '192.0.2', 'fe80::1%eth0', 'localhost', '192.0.2.1/24');
    good(checkMac, 'aa:00:00:12:34:56');
    bad(checkMac, 'AA:00:00:12:34:56', 'aa:00:00:12:34', 'ab:00:00:12:34:56');
    good(checkDirectory, '', '/srv', '/srv/a.b');
    bad(checkDirectory, 'srv', '/', '/srv/', '/srv//a', '/srv/../etc', '/a\0b');
  });
  it('keys sort like numbers', () => {
    assert.equal(jobKey(42), '000000000042');
    assert.ok(stepKey(9, 2, 10) < stepKey(10, 0, 0) && stepKey(1, 0, 9) < stepKey(1, 0, 10));
    assert.throws(() => jobKey(-1), RangeError);
    assert.throws(() => jobKey(1.5), RangeError);
  });
  it('canonical text tells apart what differs, and nothing else', () => {
    assert.equal(canonical({ b: 1, a: [null, true, 'x', -0] }), '{"a":[null,true,"x",0],"b":1}');
    assert.equal(canonical({ a: 1, b: undefined }), canonical({ a: 1 }));
    assert.notEqual(canonical('1'), canonical(1));
    assert.throws(() => canonical(Number.NaN), TypeError);
    assert.throws(() => canonical(1n), TypeError);
  });
  it('the same data is what has the same canonical text', () => {
    // Few values, so that equal ones meet; keys in any order, some of them undefined.
    const data = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(null, true, false, 0, -0, 1, '', '1', 'toString'),
        fc.array(tie('value'), { maxLength: 2 }),
        fc
          .uniqueArray(
            fc.tuple(fc.constantFrom('a', 'b', 'toString'), fc.option(tie('value'), { nil: undefined })),
            {
              maxLength: 3,
              selector: ([key]) => key,
            },
          )
          .map((members) => Object.fromEntries(members)),
      ),
    })).value;
    fc.assert(
      fc.property(data, data, (a, b) => {
        assert.equal(sameData(a, b), canonical(a) === canonical(b));
        assert.ok(sameData(a, structuredClone(a)));
      }),
      { numRuns: 2_000 },
    );
  });
});
