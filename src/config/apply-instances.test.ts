/** Instances and their owners. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Command } from './commands.ts';
import { accept, apply, init, instanceAdd, now, refuses, stateWith, three_nodes } from './test-fixtures.ts';

const time = now + 100;
const web1 = 'instance-web1';
const nic = { uuid: 'nic-1', name: null, mac: 'aa:00:00:00:00:01', ip: null, network: null, nicparams: {} };
const evidence = { kind: 'stopped', text: 'shut down by the job' } as const;

function owner(changes: Partial<Extract<Command, { type: 'instance-owner' }>> = {}): Command {
  return {
    type: 'instance-owner',
    time,
    uuid: web1,
    if_epoch: 1,
    node: 'node-2',
    boot: 1,
    evidence,
    ...changes,
  };
}

describe('instance-add', () => {
  it('creates instance and disks under epoch 1', () => {
    const state = stateWith(init);
    assert.deepEqual(accept(state, instanceAdd('web1', 'sharedfile', { nics: [nic] })), {
      node: 'node-1',
      boot: 1,
      epoch: 1,
    });
    const instance = state.get('instances', web1)!;
    assert.deepEqual(instance.owner, { node: 'node-1', boot: 1, epoch: 1 });
    assert.equal(instance.owner_log[0]?.evidence.kind, 'create');
    assert.deepEqual(instance.beparams, { maxmem: 256, minmem: 256 });
    assert.equal(state.get('disks', 'disk-web1')?.serial_no, 1);
  });

  const refused: readonly (readonly [string, Command, string, RegExp])[] = [
    [
      'a taken name',
      { ...instanceAdd('old'), instance: { ...instanceAdd('old').instance, uuid: 'another' } },
      'exists',
      /instance old/,
    ],
    [
      'a taken uuid',
      { ...instanceAdd('new'), instance: { ...instanceAdd('new').instance, uuid: 'instance-old' } },
      'exists',
      /instance-old/,
    ],
    ['a taken MAC', instanceAdd('new', 'diskless', { nics: [nic] }), 'exists', /aa:00:00:00:00:01/],
    [
      'one MAC twice',
      instanceAdd('new', 'diskless', {
        nics: [
          { ...nic, mac: 'aa:00:00:00:00:02' },
          { ...nic, mac: 'aa:00:00:00:00:02' },
        ],
      }),
      'exists',
      /same MAC/,
    ],
    [
      'a multicast MAC',
      instanceAdd('new', 'diskless', { nics: [{ ...nic, mac: 'ab:00:00:00:00:02' }] }),
      'invalid',
      /multicast/,
    ],
    [
      'a disk of another',
      { ...instanceAdd('new', 'sharedfile'), disks: instanceAdd('old', 'sharedfile').disks },
      'invalid',
      /expected the uuids of the disks given/,
    ],
    [
      'a shared file of another',
      {
        ...instanceAdd('new', 'sharedfile'),
        disks: [
          { ...instanceAdd('new', 'sharedfile').disks[0]!, logical_id: ['file:loop', '/srv/old/disk0'] },
        ],
      },
      'exists',
      /another instance/,
    ],
    [
      'disks with diskless',
      {
        ...instanceAdd('new', 'sharedfile'),
        instance: { ...instanceAdd('new', 'sharedfile').instance, disk_template: 'diskless' },
      },
      'invalid',
      /expected none/,
    ],
    ['an unknown node', instanceAdd('new', 'diskless', { primary_node: 'node-9' }), 'not-found', /node-9/],
    ['another boot', { ...instanceAdd('new'), boot: 2 }, 'stale', /boot 1: expected 2/],
    [
      'a hypervisor that is not enabled',
      instanceAdd('new', 'diskless', { hypervisor: 'xen' }),
      'invalid',
      /"xen" is not enabled: expected kvm or fake/,
    ],
    ['a template that is not enabled', instanceAdd('new', 'plain'), 'invalid', /"plain" is not enabled/],
    [
      'minmem over maxmem',
      instanceAdd('new', 'diskless', { beparams: { maxmem: 100, minmem: 200 } }),
      'invalid',
      /minmem is 200/,
    ],
    [
      'memory that is no number',
      instanceAdd('new', 'diskless', { beparams: { memory: 'lots' } }),
      'invalid',
      /maxmem is "lots"/,
    ],
    [
      'an unknown backend parameter',
      instanceAdd('new', 'diskless', { beparams: { cpus: 2 } }),
      'invalid',
      /"cpus".*vcpus/,
    ],
    [
      'a bad name',
      instanceAdd('new', 'diskless', { name: 'New One' }),
      'invalid',
      /"New One" is no host name/,
    ],
  ];
  for (const [what, command, code, message] of refused) {
    it(`refuses ${what}`, () => {
      refuses(stateWith(init, instanceAdd('old', 'sharedfile', { nics: [nic] })), command, code, message);
    });
  }

  it('refuses a node that is offline or hosts nothing', () => {
    const state = stateWith(...three_nodes);
    accept(state, { type: 'node-set', time, uuid: 'node-2', changes: { offline: true } });
    accept(state, { type: 'node-set', time, uuid: 'node-3', changes: { vm_capable: false } });
    refuses(state, instanceAdd('a', 'diskless', { primary_node: 'node-2' }), 'denied', /offline/);
    refuses(state, instanceAdd('a', 'diskless', { primary_node: 'node-3' }), 'denied', /vm_capable/);
  });
});

describe('instance-owner', () => {
  it('takes silence for evidence only of a guarded instance, and decides anew who is guarded', () => {
    const silence = owner({ evidence: { kind: 'horizon', text: 'silent for T' } });
    const guarded = stateWith(...three_nodes, instanceAdd('web1', 'sharedfile'));
    assert.equal(guarded.get('instances', web1)?.guarded, true);
    accept(guarded, silence);

    const tags = ['ganeti:watcher:autorepair:suspend'];
    const suspended = stateWith(...three_nodes, instanceAdd('web1', 'sharedfile', { tags }));
    assert.equal(suspended.get('instances', web1)?.guarded, false);
    accept(suspended, { type: 'tags', time, kind: 'instance', uuid: web1, add: [], remove: tags });
    refuses(suspended, silence, 'invalid', /web1.* is not guarded/);
    accept(suspended, owner());
    assert.equal(suspended.get('instances', web1)?.guarded, true);
  });

  it('moves ownership under the next epoch', () => {
    const state = stateWith(...three_nodes, instanceAdd('web1', 'sharedfile'));
    assert.deepEqual(accept(state, owner()), { node: 'node-2', boot: 1, epoch: 2 });
    const instance = state.get('instances', web1)!;
    assert.equal(instance.primary_node, 'node-2');
    assert.deepEqual(instance.owner_log.at(-1), {
      node: 'node-2',
      boot: 1,
      epoch: 2,
      time,
      evidence,
      from: { node: 'node-1', boot: 1, epoch: 1 },
    });
    refuses(state, owner({ node: 'node-3' }), 'stale', /epoch 2: expected 1/);
  });

  it('of two proposals for one epoch exactly one wins', () => {
    const state = stateWith(...three_nodes, instanceAdd('web1'));
    const outcomes = [apply(state, owner({ node: 'node-2' })), apply(state, owner({ node: 'node-3' }))];
    assert.deepEqual(
      outcomes.map(({ ok }) => ok),
      [true, false],
    );
    assert.equal(state.get('instances', web1)?.owner.node, 'node-2');
  });

  it('is for the current boot of a node that may host', () => {
    const state = stateWith(...three_nodes, instanceAdd('web1'));
    accept(state, { type: 'node-boot', time, uuid: 'node-2', boot: 5 });
    refuses(state, owner({ boot: 1 }), 'stale', /boot 5: expected 1/);
    refuses(state, owner({ boot: 6 }), 'stale', /boot 5: expected 6/);
    accept(state, { type: 'node-set', time, uuid: 'node-2', changes: { offline: true } });
    refuses(state, owner({ boot: 5 }), 'denied', /offline/);
    refuses(state, owner({ node: 'node-9' }), 'not-found', /node-9/);
    // A rebooted node gets its own instance back only under a new epoch.
    accept(state, { type: 'node-boot', time, uuid: 'node-1', boot: 2 });
    assert.deepEqual(accept(state, owner({ node: 'node-1', boot: 2 })), {
      node: 'node-1',
      boot: 2,
      epoch: 2,
    });
  });

  it('does not leave local disks behind', () => {
    const state = stateWith(...three_nodes, instanceAdd('web1', 'file'));
    refuses(state, owner(), 'invalid', /file disks are where they are/);
    accept(state, owner({ node: 'node-1' }));
  });

  it('keeps the last eight changes', () => {
    const state = stateWith(...three_nodes, instanceAdd('web1'));
    for (let epoch = 1; epoch <= 10; epoch++)
      accept(state, owner({ if_epoch: epoch, node: epoch % 2 === 0 ? 'node-2' : 'node-3' }));
    assert.deepEqual(
      state.get('instances', web1)!.owner_log.map((change) => change.epoch),
      [4, 5, 6, 7, 8, 9, 10, 11],
    );
  });
});

describe('instance-set and instance-remove', () => {
  it('set replaces parameter sets, knows `memory`, and can be conditional', () => {
    const state = stateWith(init, instanceAdd('web1'));
    accept(state, {
      type: 'instance-set',
      time,
      uuid: web1,
      if_epoch: 1,
      changes: { beparams: { memory: 512, vcpus: 2 }, admin_state: 'down' },
    });
    const instance = state.get('instances', web1)!;
    assert.deepEqual(instance.beparams, { maxmem: 512, minmem: 512, vcpus: 2 });
    assert.deepEqual([instance.admin_state, instance.serial_no, instance.mtime], ['down', 2, time]);
    refuses(state, { type: 'instance-set', time, uuid: web1, if_epoch: 2, changes: {} }, 'stale', /epoch 1/);
    refuses(
      state,
      { type: 'instance-set', time, uuid: web1, if_epoch: null, changes: { beparams: { vcpus: 0 } } },
      'invalid',
      /vcpus is 0/,
    );
    refuses(
      state,
      {
        type: 'instance-set',
        time,
        uuid: web1,
        if_epoch: null,
        changes: { owner: {} },
      } as unknown as Command,
      'invalid',
      /owner/,
    );
    refuses(
      state,
      { type: 'instance-set', time, uuid: 'none', if_epoch: null, changes: {} },
      'not-found',
      /none/,
    );
  });

  it('offline only from down', () => {
    const state = stateWith(init, instanceAdd('web1'));
    const set = (admin_state: 'down' | 'offline'): Command => ({
      type: 'instance-set',
      time,
      uuid: web1,
      if_epoch: null,
      changes: { admin_state },
    });
    refuses(state, set('offline'), 'invalid', /is up/);
    accept(state, set('down'));
    accept(state, set('offline'));
  });

  it('remove takes the disks along', () => {
    const state = stateWith(init, instanceAdd('web1', 'sharedfile'));
    refuses(state, { type: 'instance-remove', time, uuid: web1, if_epoch: 3 }, 'stale', /epoch 1/);
    accept(state, { type: 'instance-remove', time, uuid: web1, if_epoch: 1 });
    assert.deepEqual([state.count('instances'), state.count('disks')], [0, 0]);
  });
});
