import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_ha, scaled_ha } from '../config/defaults.ts';
import { createState } from '../config/state.ts';
import { ApiFailure } from './api-server.ts';
import type { ClusterInitParams } from './api-types.ts';
import { haParams, initCommand } from './init-command.ts';

const facts = {
  time: 1_700_000_000,
  cluster_uuid: 'c',
  group_uuid: 'g',
  node_uuid: 'n',
  peer_id: 'peer-1',
  addresses: ['/ip4/192.0.2.7/tcp/1820'],
  boot: 1,
};
const good: ClusterInitParams = {
  cluster_name: 'cluster.example',
  node_name: 'n1',
  primary_ip: '192.0.2.7',
  master_ip: '192.0.2.1',
  master_netdev: 'eth0',
  master_netmask: 32,
  enabled_hypervisors: ['kvm'],
  enabled_disk_templates: ['sharedfile'],
  file_storage_dir: '/srv/file',
  shared_file_storage_dir: '/srv/shared',
  nicparams: {},
  hvparams: {},
  ha: {},
  candidate_pool_size: 5,
};

test('what is accepted is a command that an empty state accepts', () => {
  for (const params of [
    good,
    { ...good, master_ip: '', master_netdev: '', master_netmask: 0 },
    { ...good, primary_ip: '2001:db8::7', master_ip: '2001:db8::1', master_netmask: 128 },
    { ...good, ha: { lease: 'scaled' } },
  ])
    assert.equal(createState().apply(1, initCommand(params, facts)).ok, true, JSON.stringify(params));
});

test('each bad value is refused by name, with what was expected', () => {
  const cases: readonly (readonly [Partial<ClusterInitParams>, RegExp])[] = [
    [{ primary_ip: 'n1' }, /primary_ip "n1": expected an IP address/],
    [{ master_ip: '300.1.1.1' }, /master_ip "300\.1\.1\.1"/],
    [{ master_netmask: 33 }, /master_netmask 33: expected a prefix length from 1 to 32/],
    [{ master_netmask: 1.5 }, /master_netmask 1\.5/],
    [{ master_netdev: 'eth 0' }, /master_netdev "eth 0"/],
    [{ master_netdev: 'a-name-too-long-for-linux' }, /master_netdev/],
    [{ enabled_hypervisors: [] }, /enabled_hypervisors is empty/],
    [{ enabled_hypervisors: ['vmware'] }, /"vmware" is not one of: kvm, fake/],
    [{ enabled_disk_templates: ['plain9'] }, /enabled_disk_templates: "plain9"/],
    [{ file_storage_dir: 'srv' }, /file_storage_dir "srv": expected an absolute path/],
    [{ shared_file_storage_dir: '/srv/../etc' }, /shared_file_storage_dir/],
    [{ ha: { lease: 'short' } }, /ha lease "short"/],
    [{ ha: { leese_ms: 1 } }, /ha parameter "leese_ms" is not known/],
    [{ ha: { toString: 1 } as unknown as ClusterInitParams['ha'] }, /"toString" is not known/],
    [{ ha: { lease_ms: '10' } }, /lease_ms: "10" has the wrong type/],
    [{ ha: { lease_ms: -1 } }, /lease_ms: -1, expected more than 0/],
  ];
  for (const [change, message] of cases)
    assert.throws(
      () => initCommand({ ...good, ...change }, facts),
      (error: Error) =>
        error instanceof ApiFailure && error.code === 'invalid' && message.test(error.message),
      JSON.stringify(change),
    );
});

test('what only the state can judge is refused by it, before anything is written', () => {
  const bad = [
    { cluster_name: 'bad name!' },
    { node_name: '../n1' },
    { ipolicy: { 'vcpu-ratio': 0 } },
    { ipolicy: { 'disk-templates': ['file'] } },
  ];
  for (const change of bad) {
    const applied = createState().apply(1, initCommand({ ...good, ...change }, facts));
    assert.equal(applied.ok, false, JSON.stringify(change));
  }
});

test('lease sets and single values', () => {
  assert.deepEqual(haParams({}), default_ha);
  assert.deepEqual(haParams({ lease: 'scaled' }), scaled_ha);
  assert.equal(haParams({ lease_ms: 20_000 }).lease_ms, 20_000);
});

test('a policy given at the founding is the cluster’s', () => {
  const state = createState();
  assert.ok(state.apply(1, initCommand({ ...good, ipolicy: { 'memory-ratio': 2 } }, facts)).ok);
  assert.deepEqual(state.get('cluster', 'cluster')?.ipolicy, { 'memory-ratio': 2 });
});
