/**
 * A host loses power while it makes a disk: the job is undone without it. What it made goes when it is back, or, on shared
 * storage, at once by another host; what belongs to an instance is not touched.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Trace } from '../kit/trace.ts';
import { SimCluster } from './cluster.ts';
import { leftOver, notConverged } from './convergence.ts';

const calm = {
  sync_ms: 2,
  pipe_ms: 0.1,
  deaf_guests: 0,
  mute_monitors: 0,
  master_ip_fails: 0,
  master_ip_hangs: 0,
  os_fails: 0,
  start_fails: 0,
};

async function threeHosts(seed: number): Promise<SimCluster> {
  const cluster = new SimCluster({
    seed,
    nodes: 3,
    trace: new Trace(),
    turn: (next) => void setImmediate(next),
    drift: 0,
    lease: 'default',
    candidate_pool_size: 5,
    delays: { least_ms: 0.1, mean_ms: 0.3 },
    habits: calm,
  });
  await cluster.found();
  await cluster.joinAll();
  return cluster;
}

async function create(cluster: SimCluster, name: string, disk_template: string): Promise<number> {
  const op = {
    OP_ID: 'OP_INSTANCE_CREATE',
    mode: 'create',
    instance_name: name,
    disk_template,
    disks: [{ size: 64 }],
    nics: [],
    pnode: 'n3',
    no_install: true,
  };
  const params = { request_id: `create-${name}`, jobs: [{ ops: [op] }] };
  const answer = cluster.hosts[0]!.agent!.call('submit', params);
  const { jobs } = (await cluster.done('submit', 30_000, answer)) as { jobs: number[] };
  return jobs[0]!;
}

for (const [seed, template] of [
  [1, 'file'],
  [2, 'sharedfile'],
] as const) {
  test(`a disk of template ${template}`, async () => {
    const cluster = await threeHosts(seed);
    const lost = cluster.hosts[2]!;
    const files = () => (template === 'file' ? lost.files : cluster.shared_files);
    const job = (id: number) =>
      cluster
        .leader()
        ?.member.state.list('jobs')
        .find((one) => one.id === id);
    const first = await create(cluster, 'kept', template);
    await cluster.until('the first job', 60_000, () => job(first)?.status === 'success');
    const second = await create(cluster, 'gone', template);
    await cluster.until('its file', 60_000, () => files().size === 2);
    lost.powerOff();
    await cluster.until('the second job', 300_000, () => (job(second)?.end_timestamp ?? null) !== null);
    assert.equal(job(second)?.status, 'error');
    const warned = /n3 is lost; disk\.remove was not done there/.test(JSON.stringify(job(second)?.ops));
    assert.equal(warned, template === 'file');
    assert.equal(files().size, template === 'file' ? 2 : 1, 'left behind');
    lost.powerOn();
    await cluster.until('the cluster as it was', 300_000, () => notConverged(cluster) === null);
    await cluster.until('nothing left behind', 120_000, () => leftOver(cluster) === null);
    assert.deepEqual(
      [...files().keys()].filter((path) => !path.includes('/kept/')),
      [],
    );
    assert.equal(files().size, 1);
  });
}
