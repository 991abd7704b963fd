/**
 * An instance that becomes protected while it runs: its keeper does not know and will not end it without the agent's
 * help, so it must not be started elsewhere for silence alone before it was started anew (docs/ha.md, property P).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Trace } from '../kit/trace.ts';
import { SimCluster } from './cluster.ts';

const suspend_tag = 'ganeti:watcher:autorepair:suspend';

function makeCluster(): SimCluster {
  return new SimCluster({
    seed: 1,
    nodes: 3,
    trace: new Trace(),
    turn: (next) => void setImmediate(next),
    drift: 0,
    lease: 'default',
    candidate_pool_size: 5,
    delays: { least_ms: 0.1, mean_ms: 0.3 },
    habits: {
      sync_ms: 2,
      pipe_ms: 0.1,
      deaf_guests: 0,
      mute_monitors: 0,
      master_ip_fails: 0,
      master_ip_hangs: 0,
      os_fails: 0,
      start_fails: 0,
    },
  });
}

let requests = 0;

async function does(cluster: SimCluster, op: { OP_ID: string; [name: string]: unknown }): Promise<void> {
  requests += 1;
  const params = { request_id: `request-${requests}`, jobs: [{ ops: [op] }] };
  const { jobs } = (await cluster.done(
    'submit',
    30_000,
    cluster.hosts[0]!.agent!.call('submit', params),
  )) as {
    jobs: number[];
  };
  const job = () =>
    cluster
      .leader()
      ?.member.state.list('jobs')
      .find((one) => one.id === jobs[0]);
  await cluster.until(`job ${jobs[0]}`, 60_000, () => (job()?.end_timestamp ?? null) !== null);
  assert.equal(job()?.status, 'success');
}

const create = (cluster: SimCluster, tags: readonly string[]) =>
  does(cluster, {
    OP_ID: 'OP_INSTANCE_CREATE',
    mode: 'create',
    instance_name: 'web',
    disk_template: 'diskless',
    disks: [],
    nics: [],
    pnode: 'n2',
    tags,
  });

/** Its host is cut off while its agent is not there to see: only the keeper can end the guest. */
async function loseHost(cluster: SimCluster): Promise<(host: string) => boolean> {
  await cluster.run(20_000);
  const lost = cluster.hosts[1]!;
  for (const other of cluster.hosts.filter((host) => host !== lost)) {
    cluster.links.cut(lost.peer_id, other.peer_id);
    cluster.links.cut(other.peer_id, lost.peer_id);
  }
  lost.crashAgent();
  const instance = cluster.leader()!.member.state.list('instances')[0]!;
  return (host: string) => cluster.oracles.hostsRunning(instance.uuid).has(host);
}

async function isFailedOver(cluster: SimCluster): Promise<void> {
  const runsOn = await loseHost(cluster);
  await cluster.until('the failover', 120_000, () => runsOn('n1') || runsOn('n3'));
  await cluster.run(1000);
  assert.equal(cluster.marks.count('keeper killed'), 1);
}

/** Left where it is, and running: nobody there would have ended it. */
async function waitsForItsHost(cluster: SimCluster): Promise<void> {
  const runsOn = await loseHost(cluster);
  await cluster.run(120_000);
  assert.deepEqual([runsOn('n1'), runsOn('n2'), runsOn('n3')], [false, true, false]);
}

async function restart(cluster: SimCluster): Promise<void> {
  await does(cluster, { OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: 'web', timeout: 1 });
  await does(cluster, { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'web' });
}

async function withSuspendedThenNot(): Promise<SimCluster> {
  const cluster = makeCluster();
  await cluster.found();
  await cluster.joinAll();
  await create(cluster, [suspend_tag]);
  await does(cluster, { OP_ID: 'OP_TAGS_DEL', kind: 'instance', name: 'web', tags: [suspend_tag] });
  return cluster;
}

async function withThirdNodeLater(): Promise<SimCluster> {
  const cluster = makeCluster();
  await cluster.found();
  await cluster.join(cluster.hosts[1]!);
  await create(cluster, []);
  await cluster.join(cluster.hosts[2]!);
  return cluster;
}

test('protected from its start: ended by the keeper, then started elsewhere', async () => {
  const cluster = makeCluster();
  await cluster.found();
  await cluster.joinAll();
  await create(cluster, []);
  await isFailedOver(cluster);
});

for (const [since, make] of [
  ['a third node joined', withThirdNodeLater],
  ['a tag was removed', withSuspendedThenNot],
] as const) {
  test(`protected since ${since}: waits for its host`, async () => waitsForItsHost(await make()));
  test(`protected since ${since}, and restarted: started elsewhere`, async () => {
    const cluster = await make();
    await restart(cluster);
    await isFailedOver(cluster);
  });
}
