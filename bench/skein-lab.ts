/** A lab for one benchmark: fresh, alone, gone afterwards; and what benchmarks ask of it. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labDown } from '../cli/lab/down.ts';
import { agentStatus } from '../cli/lab/host.ts';
import { type Lab, type LabNode, labUp } from '../cli/lab/lab.ts';
import { ApiCallError, type ApiClient } from '../src/node/api-client.ts';
import type { AgentStatus } from '../src/node/api-types.ts';
import { until } from './clock.ts';

/** Runs `act` with a lab of three nodes, default leases and fake guests. */
export async function withLab<T>(act: (lab: Lab) => Promise<T>): Promise<T> {
  const parent = realpathSync(mkdtempSync(join(tmpdir(), 'skein-bench-')));
  const dir = join(parent, 'l');
  try {
    const { lab } = await labUp({ dir, nodes: 3, lease: 'default', hypervisor: 'fake' });
    return await act(lab);
  } finally {
    await labDown({ dir });
    rmSync(parent, { recursive: true, force: true });
  }
}

/** null: it does not answer. */
export async function statusOf(node: LabNode): Promise<AgentStatus | null> {
  try {
    return await agentStatus(node, 1_000);
  } catch (error) {
    if (error instanceof ApiCallError) return null;
    throw error;
  }
}

export interface Settled {
  readonly leader: LabNode;
  readonly followers: readonly LabNode[];
  readonly status: ReadonlyMap<string, AgentStatus>;
}

/** All answer, agree on leader and term, see each other, have applied the same; the leader holds the master IP. */
async function settledNow(lab: Lab): Promise<Settled | null> {
  const all = await Promise.all(lab.nodes.map(async (node) => ({ node, status: await statusOf(node) })));
  const status = new Map<string, AgentStatus>();
  for (const known of all) {
    if (known.status === null || known.status.leader === '') return null;
    status.set(known.node.name, known.status);
  }
  const [first] = status.values();
  if (!first) return null;
  const leading = status.get(first.leader);
  if (!leading?.established || !(leading.master_ip_held || lab.master_ip === '')) return null;
  for (const one of status.values()) {
    const agrees = one.leader === first.leader && one.term === first.term;
    if (!agrees || !one.lease_valid || one.peers.some((peer) => !peer.up)) return null;
    if (leading.commit - one.applied > 5) return null;
  }
  const leader = lab.node(first.leader);
  return { leader, followers: lab.nodes.filter((node) => node !== leader), status };
}

/** Waits until the cluster is whole and has a voter on every node. Looks three times, so that it also stays so. */
export async function settled(lab: Lab, timeout_ms = 60_000): Promise<Settled> {
  let good = 0;
  let before = '';
  return until('the lab to settle', timeout_ms, 150, async () => {
    const now = await settledNow(lab);
    const leader = now?.leader.name ?? '';
    const voters = now ? await voterCount(now.leader) : 0;
    good = now && voters === lab.nodes.length && leader === before ? good + 1 : 0;
    before = leader;
    return good >= 3 ? now : null;
  });
}

async function voterCount(node: LabNode): Promise<number> {
  const { rows } = await node.call('query', { resource: 'node', stale: true }, { timeout_ms: 2_000 });
  return rows.filter((row) => row.role === 'M' || row.role === 'C').length;
}

/** Submits a job that does nothing; resolves with its number once it is committed. */
export async function submitNoop(client: ApiClient, timeout_ms: number): Promise<number> {
  const { jobs } = await client.call(
    'submit',
    { request_id: randomUUID(), jobs: [{ ops: [{ OP_ID: 'OP_TEST_DELAY', duration: 0 }] }] },
    { timeout_ms },
  );
  const [job] = jobs;
  if (job === undefined) throw new Error('a submitted job has no number');
  return job;
}

/** Puts ended jobs aside, so that rounds do not slow each other down. */
export async function archiveEnded(node: LabNode): Promise<void> {
  const { rows } = await node.call('query', { resource: 'job' });
  const ended = rows.filter((row) => row.end_ts !== null).map((row) => Number(row.id));
  if (ended.length > 0) await node.call('job.archive', { jobs: ended.slice(0, 10_000) });
}
