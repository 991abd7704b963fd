/** Cluster, tokens, nodes and tags: what is accepted, what is refused, and that a refusal changes nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Command } from './commands.ts';
import { createState } from './state.ts';
import * as given from './test-fixtures.ts';
import {
  accept,
  init,
  instanceAdd,
  nodeJoin,
  now,
  refuses,
  secret_hash,
  stateWith,
  three_nodes,
  tokenAdd,
} from './test-fixtures.ts';

const time = now + 100;

describe('cluster commands', () => {
  it('init makes cluster, group, node and counters', () => {
    const state = stateWith(init);
    assert.equal(state.get('cluster', 'cluster')?.serial_no, 1);
    assert.equal(state.get('nodes', 'node-1')?.member, 1);
    assert.deepEqual(state.get('meta', 'meta'), { next_member: 2, next_job: 1 });
    refuses(state, init, 'exists', /cluster\.example/);
  });

  it('init refuses a node of another group and a bad name', () => {
    const state = createState();
    refuses(
      state,
      { ...init, node: { ...given.node, group: 'other' } } as Command,
      'invalid',
      /expected the new group/,
    );
    refuses(
      state,
      { ...init, cluster: { ...given.cluster, cluster_name: 'Not A Name' } } as Command,
      'invalid',
      /cluster\.cluster_name: "Not A Name" is no host name/,
    );
  });

  it('everything else needs a cluster', () => {
    refuses(createState(), { type: 'node-remove', time, uuid: 'node-1' }, 'no-cluster', /no cluster yet/);
    refuses(createState(), { type: 'job-archive', time, jobs: [] }, 'no-cluster', /no cluster yet/);
  });

  it('set replaces fields, merges ha and raises the serial number', () => {
    const state = stateWith(init);
    accept(state, {
      type: 'cluster-set',
      time,
      changes: { candidate_pool_size: 3, beparams: { memory: 64 }, ha: { margin_ms: 4_000 } },
    });
    const cluster = state.get('cluster', 'cluster')!;
    assert.equal(cluster.candidate_pool_size, 3);
    assert.deepEqual(cluster.beparams, { maxmem: 64, minmem: 64 });
    assert.equal(cluster.ha.margin_ms, 4_000);
    assert.equal(cluster.ha.lease_ms, 10_000);
    assert.deepEqual([cluster.serial_no, cluster.mtime], [2, time]);
  });

  const refused: readonly (readonly [string, object, string, RegExp])[] = [
    ['an unknown field', { nonsense: 1 }, 'invalid', /nonsense/],
    ['a field that has its own command', { tags: ['x'] }, 'invalid', /tags/],
    ['a wrong type', { candidate_pool_size: 'many' }, 'invalid', /candidate_pool_size.*"many"/],
    ['a lease shorter than three renewals', { ha: { renew_ms: 5_000 } }, 'invalid', /three times renew_ms/],
    ['a lower generation', { generation: -1 }, 'invalid', /generation/],
    ['a lower feature level', { feature_level: 0 }, 'invalid', /only rises/],
    ['a hypervisor in use taken away', { enabled_hypervisors: ['kvm'] }, 'in-use', /web1 uses it/],
    ['a template in use taken away', { enabled_disk_templates: ['file'] }, 'in-use', /web1 uses it/],
    ['a relative directory', { file_storage_dir: '/srv/../etc' }, 'invalid', /no directory/],
  ];
  for (const [what, changes, code, message] of refused) {
    it(`set refuses ${what}`, () => {
      refuses(
        stateWith(init, instanceAdd('web1')),
        { type: 'cluster-set', time, changes } as Command,
        code,
        message,
      );
    });
  }

  it('destroy leaves only the counters, and member numbers go on', () => {
    const state = stateWith(...three_nodes, ...given.running);
    accept(state, { type: 'cluster-destroy', time });
    assert.deepEqual(
      [...state.entries()].map(({ table }) => table),
      ['meta'],
    );
    refuses(state, init, 'invalid', /member number 1 was given before/);
    accept(state, { ...init, node: { ...given.node, member: 4 } } as Command);
    assert.equal(state.get('meta', 'meta')?.next_job, 2);
    refuses(stateWith(init, instanceAdd('web1')), { type: 'cluster-destroy', time }, 'in-use', /web1/);
  });
});

describe('tokens and joining', () => {
  it('a node joins once per token and gets the next member number', () => {
    const state = stateWith(init, tokenAdd('t2'));
    assert.deepEqual(accept(state, nodeJoin(2, 't2')), { uuid: 'node-2', member: 2 });
    assert.equal(state.get('nodes', 'node-2')?.master_candidate, true);
    // The same host again: its answer was lost.
    const before = state.hash();
    assert.deepEqual(accept(state, { ...nodeJoin(2, 't2'), uuid: 'drawn-anew', time: now + 10_000 }), {
      uuid: 'node-2',
      member: 2,
    });
    assert.equal(state.hash(), before);
    refuses(state, { ...nodeJoin(3, 't2') }, 'denied', /used by another host/);
  });

  it('a member number is never given twice', () => {
    const state = stateWith(...three_nodes);
    accept(state, { type: 'node-remove', time, uuid: 'node-3' });
    refuses(state, nodeJoin(3, 't3'), 'denied', /removed since/);
    accept(state, tokenAdd('t4'));
    assert.deepEqual(accept(state, nodeJoin(3, 't4')), { uuid: 'node-3', member: 4 });
  });

  it('refuses what a token does not allow', () => {
    const state = stateWith(init, tokenAdd('t2'));
    refuses(state, nodeJoin(2, 'none'), 'denied', /not valid/);
    refuses(state, { ...nodeJoin(2, 't2'), secret_hash: 'cd'.repeat(32) }, 'denied', /not valid/);
    refuses(state, { ...nodeJoin(2, 't2'), time: now + 600 }, 'denied', /expired/);
    refuses(state, { ...nodeJoin(2, 't2'), name: 'node1' }, 'exists', /node1/);
    refuses(state, { ...nodeJoin(2, 't2'), peer_id: 'peer-1' }, 'exists', /member already/);
    refuses(state, { ...nodeJoin(2, 't2'), primary_ip: '192.0.2.11' }, 'exists', /192\.0\.2\.11/);
    refuses(state, { ...nodeJoin(2, 't2'), name: 'under_score' }, 'invalid', /host name/);
    refuses(state, { ...nodeJoin(2, 't2'), primary_ip: '300.1.1.1' }, 'invalid', /no IP address/);
    refuses(state, tokenAdd('t2'), 'exists', /t2/);
    refuses(state, { ...tokenAdd('t9'), expires: now } as Command, 'invalid', /expected a time after/);
    refuses(state, { ...tokenAdd('t9'), group: 'none' } as Command, 'not-found', /node group none/);
    accept(state, { type: 'token-revoke', time, id: 't2' });
    refuses(state, { type: 'token-revoke', time, id: 't2' }, 'not-found', /t2/);
    refuses(state, nodeJoin(2, 't2'), 'denied', /not valid/);
  });

  it('forgets tokens long expired', () => {
    const state = stateWith(init, tokenAdd('t2'));
    accept(state, {
      type: 'token-add',
      time: now + 100_000,
      id: 't3',
      secret_hash,
      expires: now + 200_000,
      group: 'group-1',
      master_capable: false,
      vm_capable: true,
    });
    assert.deepEqual(
      state.list('tokens').map(({ id }) => id),
      ['t3'],
    );
  });
});

describe('node commands', () => {
  it('roles exclude one another, and a node brought back is a candidate again', () => {
    const state = stateWith(...three_nodes);
    accept(state, { type: 'node-set', time, uuid: 'node-2', changes: { offline: true } });
    let node = state.get('nodes', 'node-2')!;
    assert.deepEqual(
      [node.offline, node.drained, node.master_candidate, node.serial_no],
      [true, false, false, 2],
    );
    accept(state, { type: 'node-set', time, uuid: 'node-2', changes: { drained: true } });
    node = state.get('nodes', 'node-2')!;
    assert.deepEqual([node.offline, node.drained, node.master_candidate], [false, true, false]);
    accept(state, { type: 'node-set', time, uuid: 'node-2', changes: { drained: false } });
    assert.equal(state.get('nodes', 'node-2')?.master_candidate, true);
    refuses(
      state,
      { type: 'node-set', time, uuid: 'node-2', changes: { offline: true, drained: true } },
      'invalid',
      /exclude one another/,
    );
  });

  it('set refuses what would break a rule', () => {
    const state = stateWith(init, instanceAdd('web1'));
    refuses(state, { type: 'node-set', time, uuid: 'node-9', changes: {} }, 'not-found', /node-9/);
    refuses(
      state,
      { type: 'node-set', time, uuid: 'node-1', changes: { offline: true } },
      'in-use',
      /last master candidate/,
    );
    refuses(
      state,
      { type: 'node-set', time, uuid: 'node-1', changes: { vm_capable: false } },
      'in-use',
      /web1/,
    );
    refuses(
      state,
      { type: 'node-set', time, uuid: 'node-1', changes: { group: 'none' } },
      'not-found',
      /none/,
    );
    refuses(
      state,
      { type: 'node-set', time, uuid: 'node-1', changes: { boot: 7 } } as unknown as Command,
      'invalid',
      /boot/,
    );
  });

  it('remove is refused for an owner, the last node and the unknown', () => {
    const state = stateWith(...three_nodes, instanceAdd('web1'));
    refuses(state, { type: 'node-remove', time, uuid: 'node-1' }, 'in-use', /owns instance web1/);
    refuses(state, { type: 'node-remove', time, uuid: 'node-9' }, 'not-found', /node-9/);
    accept(state, { type: 'node-remove', time, uuid: 'node-2' });
    assert.equal(state.count('nodes'), 2);
    refuses(stateWith(init), { type: 'node-remove', time, uuid: 'node-1' }, 'in-use', /last one/);
  });

  it('a boot number only rises', () => {
    const state = stateWith(init);
    assert.equal(accept(state, { type: 'node-boot', time, uuid: 'node-1', boot: 3 }), 3);
    const before = state.hash();
    assert.equal(accept(state, { type: 'node-boot', time, uuid: 'node-1', boot: 2 }), 3);
    assert.equal(state.hash(), before);
    assert.equal(state.get('nodes', 'node-1')?.boot, 3);
  });

  it('a new member number is a new one, and changes nothing else of the node', () => {
    const state = stateWith(...three_nodes, instanceAdd('web1'));
    const before = state.get('nodes', 'node-2')!;
    const renew: Command = { type: 'node-renew', time, uuid: 'node-2', if_member: before.member };
    assert.equal(accept(state, renew), 4);
    const { member, mtime, serial_no, ...rest } = state.get('nodes', 'node-2')!;
    assert.deepEqual({ ...before, member, mtime, serial_no }, { ...rest, member: 4, mtime: time, serial_no });
    refuses(state, renew, 'stale', /node2.* is member 4: expected 2/);
    accept(state, tokenAdd('t4'));
    accept(state, nodeJoin(4, 't4'));
    assert.equal(state.get('nodes', 'node-4')?.member, 5, 'given once');
  });

  it('health is for one boot, and keeps since when', () => {
    const state = stateWith(init);
    accept(state, {
      type: 'node-health',
      time,
      uuid: 'node-1',
      health: 'lost',
      reason: 'silent',
      if_boot: 1,
    });
    accept(state, {
      type: 'node-health',
      time: time + 5,
      uuid: 'node-1',
      health: 'lost',
      reason: 'still silent',
      if_boot: 1,
    });
    const node = state.get('nodes', 'node-1')!;
    assert.deepEqual([node.health, node.health_since, node.health_reason], ['lost', time, 'still silent']);
    refuses(
      state,
      { type: 'node-health', time, uuid: 'node-1', health: 'member', reason: '', if_boot: 2 },
      'stale',
      /boot 1/,
    );
  });
});

describe('tags', () => {
  it('adds, then removes, sorted and once', () => {
    const state = stateWith(init, instanceAdd('web1'));
    const tags = { type: 'tags', time, kind: 'instance', uuid: 'instance-web1' } as const;
    assert.deepEqual(accept(state, { ...tags, add: ['b', 'a', 'b', 'c'], remove: ['c'] }), ['a', 'b']);
    assert.equal(state.get('instances', 'instance-web1')?.serial_no, 2);
    accept(state, { ...tags, add: ['a'], remove: [] });
    assert.equal(state.get('instances', 'instance-web1')?.serial_no, 2, 'nothing changed');
    for (const [kind, uuid] of [
      ['cluster', 'cluster-1'],
      ['cluster', ''],
      ['nodegroup', 'group-1'],
      ['node', 'node-1'],
    ] as const) {
      assert.ok(
        (accept(state, { ...tags, kind, uuid, add: ['x:y/z@1'], remove: [] }) as string[]).includes(
          'x:y/z@1',
        ),
      );
    }
  });

  it('refuses bad tags, too many, and what is not there', () => {
    const state = stateWith(init);
    const tags = { type: 'tags', time, kind: 'node', uuid: 'node-1' } as const;
    refuses(state, { ...tags, add: ['no space'], remove: [] }, 'invalid', /"no space" is no tag/);
    refuses(state, { ...tags, add: ['x'.repeat(129)], remove: [] }, 'invalid', /1 to 128/);
    refuses(state, { ...tags, add: [], remove: ['gone'] }, 'not-found', /"gone"/);
    refuses(state, { ...tags, uuid: 'node-9', add: ['a'], remove: [] }, 'not-found', /node-9/);
    const many = Array.from({ length: 4_096 }, (_, at) => `t${at}`);
    accept(state, { ...tags, add: many, remove: [] });
    refuses(state, { ...tags, add: ['one-more'], remove: [] }, 'full', /4097/);
  });
});
