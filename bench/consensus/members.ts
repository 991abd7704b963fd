/** Three members of either store on loopback, in folders side by side: started, asked who leads, ended. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { loadOrCreateIdentity } from '../../src/node/identity.ts';
import { type Child, scriptArgv, startChild } from '../child.ts';
import { sleep, until } from '../clock.ts';
import type { Target } from './load.ts';
import type { ReplicaSpec } from './replica.ts';
import { SkeinClient } from './skein-client.ts';

const execute = promisify(execFile);
const member_ids = [1, 2, 3] as const;
const settle_ms = 30_000;
const host = '127.0.0.1';

export interface Members {
  /** The leader, as soon as there is one that answers. Rejects when a member has ended or none leads in time. */
  leader(): Promise<Target>;
  close(): Promise<void>;
}

/** Free now; they may be taken until they are used, which a benchmark can live with. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, host, resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a server without a port');
    ports.push(address.port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

interface Member {
  readonly child: Child;
  readonly log: string;
}

/** @throws Error with the end of its log when a member has ended */
function checkRunning(name: string, members: readonly Member[]): void {
  const ended = members.find(({ child }) => !child.running());
  if (ended === undefined) return;
  const last_lines = readFileSync(ended.log, 'utf8').trim().split('\n').slice(-15).join('\n');
  throw new Error(`a member of ${name} has ended:\n${last_lines}`);
}

function membersOf(
  name: string,
  members: readonly Member[],
  findLeader: () => Promise<string | null>,
): Members {
  const pids = members.map(({ child }) => child.pid);
  return {
    leader: () =>
      until(`a leader of ${name}`, settle_ms, 100, async () => {
        checkRunning(name, members);
        const address = await findLeader();
        return address === null ? null : { address, pids };
      }),
    close: async () => {
      await Promise.all(members.map(({ child }) => child.end(8_000)));
    },
  };
}

/** @param dir gets a folder and a log file for each member */
export async function startReplicas(dir: string): Promise<Members> {
  const ports = await freePorts(2 * member_ids.length);
  const peers = await Promise.all(
    member_ids.map(async (member, at) => {
      const { peer_id } = await loadOrCreateIdentity(join(dir, `replica-${member}`));
      return { member, peer_id, addresses: [`/ip4/${host}/tcp/${ports[at]}`] };
    }),
  );
  const client_ports = ports.slice(member_ids.length);
  const members: Member[] = [];
  for (const [at, id] of member_ids.entries()) {
    const own = join(dir, `replica-${id}`);
    const spec: ReplicaSpec = { id, dir: own, client_port: client_ports[at] ?? 0, peers };
    writeFileSync(join(own, 'spec.json'), JSON.stringify(spec));
    const argv = scriptArgv('consensus/replica.ts', join(own, 'spec.json'));
    const log = `${own}.log`;
    members.push({ child: await startChild(argv, { namespace: null, log }), log });
  }
  return membersOf('skein', members, async () => {
    for (const port of client_ports) {
      const address = `${host}:${port}`;
      if (await leads(address)) return address;
    }
    return null;
  });
}

/** False too while it does not answer: it is still starting. */
async function leads(address: string): Promise<boolean> {
  const client = new SkeinClient(address);
  try {
    return await client.leads();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return false;
    throw error;
  } finally {
    client.close();
  }
}

/** What `etcdctl endpoint status` tells of a member. */
interface EndpointStatus {
  readonly Endpoint: string;
  readonly Status: { readonly header: { readonly member_id: number }; readonly leader?: number };
}

/** With the settings it comes with. @param dir gets a folder and a log file for each member */
export async function startEtcd(dir: string): Promise<Members> {
  const ports = await freePorts(2 * member_ids.length);
  const url = (port: number | undefined): string => `http://${host}:${port}`;
  const client_ports = ports.slice(member_ids.length);
  const cluster = member_ids.map((id, at) => `e${id}=${url(ports[at])}`).join(',');
  const members: Member[] = [];
  for (const [at, id] of member_ids.entries()) {
    const peer_url = url(ports[at]);
    const client_url = url(client_ports[at]);
    const argv = [
      ['etcd', '--name', `e${id}`, '--data-dir', join(dir, `etcd-${id}`), '--logger', 'zap'],
      ['--listen-peer-urls', peer_url, '--initial-advertise-peer-urls', peer_url],
      ['--listen-client-urls', client_url, '--advertise-client-urls', client_url],
      ['--initial-cluster', cluster, '--initial-cluster-state', 'new'],
    ];
    const log = join(dir, `etcd-${id}.log`);
    members.push({ child: await startChild(argv.flat(), { namespace: null, log }), log });
  }
  const endpoints = client_ports.map((port) => `${host}:${port}`);
  return membersOf('etcd', members, () => etcdLeader(endpoints));
}

/** null while they do not all answer and agree. */
async function etcdLeader(endpoints: readonly string[]): Promise<string | null> {
  const argv = ['--endpoints', endpoints.join(','), '--command-timeout', '2s', '-w', 'json'];
  let text: string;
  try {
    const env = { ...process.env, ETCDCTL_API: '3' };
    ({ stdout: text } = await execute('etcdctl', [...argv, 'endpoint', 'status'], { timeout: 10_000, env }));
  } catch (error) {
    // Fails while a member does not answer; a missing program would be another matter.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    await sleep(100);
    return null;
  }
  const all = JSON.parse(text) as readonly EndpointStatus[];
  const leader = all[0]?.Status.leader;
  if (!leader || all.length < endpoints.length || all.some(({ Status }) => Status.leader !== leader))
    return null;
  return all.find(({ Status }) => Status.header.member_id === leader)?.Endpoint ?? null;
}
