/** A job that does nothing, from its submission to its end as the caller sees it; one at a time, and a hundred at once. */
import { randomUUID } from 'node:crypto';
import type { LabNode } from '../cli/lab/lab.ts';
import { type ApiClient, connectApi } from '../src/node/api-client.ts';
import { nowMs } from './clock.ts';
import { etcdPutLatency } from './etcd.ts';
import type { BenchContext, Figure } from './figure.ts';
import { measureSeries } from './measure.ts';
import { archiveEnded, settled, submitNoop, withLab } from './skein-lab.ts';

const together = 100;
const timeout_ms = 30_000;

async function watched(client: ApiClient, job: number): Promise<void> {
  const { status } = await client.call('job.watch', { job }, { timeout_ms });
  if (status !== 'success') throw new Error(`job ${job} ended with ${status}`);
}

async function one(client: ApiClient): Promise<number> {
  const begun_ms = nowMs();
  await watched(client, await submitNoop(client, timeout_ms));
  return nowMs() - begun_ms;
}

/** One connection takes no more than 64 calls at a time: the watching is shared out. */
async function hundred(clients: readonly ApiClient[]): Promise<number> {
  const [client] = clients;
  if (!client) throw new Error('no connection');
  const begun_ms = nowMs();
  const ops = [{ OP_ID: 'OP_TEST_DELAY', duration: 0 }];
  const { jobs } = await client.call('submit', {
    request_id: randomUUID(),
    jobs: Array.from({ length: together }, () => ({ ops })),
  });
  await Promise.all(jobs.map((id, at) => watched(clients[at % clients.length] ?? client, id)));
  return nowMs() - begun_ms;
}

async function single(context: BenchContext, node: LabNode, name: string, count: number): Promise<void> {
  const times = measureSeries(context, name, 'ms', { kind: 'below', value: 50 });
  const client = await connectApi(node.socket);
  try {
    for (let warm = 0; warm < 20; warm++) await one(client);
    for (let round = 0; round < count; round++) {
      context.signal.throwIfAborted();
      times.add(await one(client));
    }
  } finally {
    client.close();
  }
  times.emit('submission to end, one after the other');
}

async function many(context: BenchContext, node: LabNode): Promise<void> {
  const times = measureSeries(context, `job/${together} together`, 'ms', { kind: 'below', value: 2_000 });
  const clients = await Promise.all([connectApi(node.socket), connectApi(node.socket)]);
  try {
    for (let round = 0; round < context.trials; round++) {
      context.signal.throwIfAborted();
      times.add(await hundred(clients));
      await archiveEnded(node);
    }
  } finally {
    for (const client of clients) client.close();
  }
  times.emit('one submission, until the last has ended');
}

export const job: Figure = {
  name: 'job',
  summary: 'a no-op job from submission to its end, three nodes, synced disks',
  root: true,
  needs: [
    ['etcd', 'etcd-server'],
    ['etcdctl', 'etcd-client'],
  ],
  async run(context) {
    const count = context.quick ? 20 : 200;
    await withLab(async (lab) => {
      const { leader, followers } = await settled(lab);
      const [follower] = followers;
      if (!follower) throw new Error('a lab without followers');
      await single(context, follower, 'job/on a follower', count);
      await archiveEnded(leader);
      await single(context, leader, 'job/on the leader', count);
      await archiveEnded(leader);
      await many(context, follower);
    });
    await etcdPutLatency(context, 'job', count);
  },
};
