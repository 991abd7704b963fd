/** etcd beside Skein: three members with its default settings (1 s election timeout, heartbeat each 100 ms). */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { namespaceFile } from '../cli/lab/layout.ts';
import { type Child, scriptArgv, startChild } from './child.ts';
import { nowMs, sleep, until } from './clock.ts';
import type { BenchContext } from './figure.ts';
import { onLine } from './line-reader.ts';
import { measureSeries } from './measure.ts';
import { openPeerNetwork, type PeerNetwork, type PeerNode } from './peer-network.ts';

const limit_ms = 30_000;
const execute = promisify(execFile);

/** What `etcdctl endpoint status` tells of a member. */
interface EndpointStatus {
  readonly Endpoint: string;
  readonly Status: {
    readonly header: { readonly member_id: number; readonly raft_term: number };
    readonly leader?: number;
    readonly raftAppliedIndex?: number;
  };
}

class Members {
  readonly network: PeerNetwork;
  readonly #running = new Map<string, Child>();

  constructor(network: PeerNetwork) {
    this.network = network;
  }

  async start(node: PeerNode, state: 'new' | 'existing'): Promise<void> {
    const url = (address: string, port: number): string => `http://${address}:${port}`;
    const cluster = this.network.nodes.map(({ name, address }) => `${name}=${url(address, 2380)}`).join(',');
    const argv = [
      ['etcd', '--name', node.name, '--data-dir', join(this.network.dir, `etcd-${node.name}`)],
      ['--listen-peer-urls', url(node.address, 2380), '--listen-client-urls', url(node.address, 2379)],
      ['--initial-advertise-peer-urls', url(node.address, 2380)],
      ['--advertise-client-urls', url(node.address, 2379)],
      ['--initial-cluster', cluster, '--initial-cluster-state', state, '--logger', 'zap'],
    ];
    const log = join(this.network.dir, `etcd-${node.name}.log`);
    this.#running.set(node.name, await startChild(argv.flat(), { namespace: node.namespace, log }));
  }

  kill(name: string): Promise<void> {
    const child = this.#running.get(name);
    if (!child) throw new Error(`etcd does not run on ${name}`);
    process.kill(child.pid, 'SIGKILL');
    return child.exited;
  }

  async #leaderNow(): Promise<PeerNode | null> {
    const { nodes, client_namespace } = this.network;
    const endpoints = nodes.map(({ address }) => `${address}:2379`).join(',');
    const etcdctl = ['etcdctl', '--endpoints', endpoints, '--command-timeout', '1s', '-w', 'json'];
    const argv = [`--net=${namespaceFile(client_namespace)}`, '--', ...etcdctl, 'endpoint', 'status'];
    let text: string;
    try {
      const env = { ...process.env, ETCDCTL_API: '3' };
      ({ stdout: text } = await execute('nsenter', argv, { timeout: 10_000, env }));
    } catch (error) {
      // Fails while a member does not answer; a missing program would be another matter.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
      return null;
    }
    const all = JSON.parse(text) as readonly EndpointStatus[];
    const [first] = all;
    if (!first || all.length < nodes.length || !first.Status.leader) return null;
    const { leader, header } = first.Status;
    const agree = all.every(
      ({ Status: s }) => s.leader === leader && s.header.raft_term === header.raft_term,
    );
    const applied = all.map(({ Status: s }) => s.raftAppliedIndex ?? 0);
    if (!agree || Math.max(...applied) - Math.min(...applied) > 5) return null;
    const endpoint = all.find(({ Status: s }) => s.header.member_id === leader)?.Endpoint ?? '';
    return nodes.find(({ address }) => endpoint === `${address}:2379`) ?? null;
  }

  /** All answer and agree, three times in a row. */
  settled(): Promise<PeerNode> {
    let good = 0;
    let before: PeerNode | null = null;
    return until('etcd to settle', 60_000, 200, async () => {
      const leader = await this.#leaderNow();
      good = leader !== null && leader === before ? good + 1 : 0;
      before = leader;
      return good >= 2 ? leader : null;
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map((child) => child.end(8_000)));
    await this.network.close();
  }
}

/** Three members that agree, while `act` runs. */
async function withEtcd<T>(act: (members: Members) => Promise<T>): Promise<T> {
  const members = new Members(await openPeerNetwork(3));
  try {
    for (const node of members.network.nodes) await members.start(node, 'new');
    return await act(members);
  } finally {
    await members.close();
  }
}

interface Put {
  readonly sent_ms: number;
  readonly done_ms: number;
}

async function startPuts(
  network: PeerNetwork,
  mode: 'interval' | 'sequence',
  nodes: readonly PeerNode[],
): Promise<{ readonly puts: readonly Put[]; readonly child: Child }> {
  const child = await startChild(scriptArgv('etcd-put.ts', mode, ...nodes.map(({ address }) => address)), {
    namespace: network.client_namespace,
    log: join(network.dir, 'put.log'),
    pipe: true,
  });
  const puts: Put[] = [];
  onLine(child, (line) => {
    const [sent = '', done = ''] = line.split(' ');
    puts.push({ sent_ms: Number(sent), done_ms: Number(done) });
  });
  return { puts, child };
}

async function trial(members: Members, fault: 'kill' | 'cut'): Promise<number> {
  const { network } = members;
  const leader = await members.settled();
  const { puts, child } = await startPuts(
    network,
    'interval',
    network.nodes.filter((node) => node !== leader),
  );
  try {
    await until('a first put', 10_000, 20, () => puts[0] ?? null);
    await sleep(200 + Math.random() * 500);
    const fault_ms = nowMs();
    await (fault === 'kill' ? members.kill(leader.name) : network.setLink(leader.name, false));
    const done_ms = nowMs();
    // Sent after the fault: one that was under way may have been committed by the old leader.
    const first = await until(
      'a put',
      limit_ms,
      2,
      () => puts.find(({ sent_ms }) => sent_ms > done_ms) ?? null,
    );
    return first.done_ms - fault_ms;
  } finally {
    await child.end();
    if (fault === 'kill') await members.start(leader, 'existing');
    else await network.setLink(leader.name, true);
  }
}

/** Median time until a put through a survivor succeeds, in milliseconds. */
export function etcdFailover(context: BenchContext, figure: string, fault: 'kill' | 'cut'): Promise<number> {
  const times = measureSeries(context, `${figure}/etcd put`, 'ms');
  return withEtcd(async (members) => {
    for (let round = 1; round <= context.trials; round++) {
      context.signal.throwIfAborted();
      const time_ms = await trial(members, fault);
      times.add(time_ms);
      context.say(`${figure} ${round}: etcd ${time_ms.toFixed(0)} ms`);
    }
    return times.emit('default settings, 3 members; put through a survivor');
  });
}

/** Median latency of puts through a follower, one after the other, in milliseconds. */
export function etcdPutLatency(context: BenchContext, figure: string, count: number): Promise<number> {
  const times = measureSeries(context, `${figure}/etcd put`, 'ms');
  return withEtcd(async (members) => {
    const leader = await members.settled();
    const followers = members.network.nodes.filter((node) => node !== leader).slice(0, 1);
    const { puts, child } = await startPuts(members.network, 'sequence', followers);
    try {
      // The first ones pay for the connection and for compiling.
      const warm = 50;
      await until(`${count} puts`, 60_000, 50, () => (puts.length >= count + warm ? puts : null));
      for (const { sent_ms, done_ms } of puts.slice(warm, warm + count)) times.add(done_ms - sent_ms);
    } finally {
      await child.end();
    }
    return times.emit('one synced put through a follower, for context');
  });
}
