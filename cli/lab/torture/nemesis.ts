/**
 * What hurts the lab: one fault after the other, each with its end. All chance comes from the seed. Every process is one of
 * the lab and is signalled by its id; whatever was begun can be undone by {@link healAll}, at any moment.
 */
import { readFileSync } from 'node:fs';
import { ApiCallError } from '../../../src/node/api-client.ts';
import { CliError } from '../../exit-status.ts';
import { labCut, labFreeze, labHeal, labThaw } from '../faults.ts';
import { agentStatus, hostProcesses, waitForAgent } from '../host.ts';
import type { Lab, LabNode } from '../lab.ts';
import { isAlive, type ProcessId, signalProcess, statOf } from '../proc.ts';
import { loadState } from '../record.ts';

export const process_faults = ['kill', 'freeze'] as const;
export const link_faults = ['cut', 'cut-in', 'cut-out'] as const;
export type FaultKind = (typeof process_faults)[number] | (typeof link_faults)[number];

export interface Fault {
  readonly kind: FaultKind;
  readonly node: string;
}

export function faultKinds(lab: Lab): readonly FaultKind[] {
  return lab.record.namespaces ? [...process_faults, ...link_faults] : process_faults;
}

/** Resolves after `ms`, or at once when the run ends. */
export type Pause = (ms: number) => Promise<void>;

export interface NemesisOptions {
  readonly random: () => number;
  readonly pause: Pause;
  readonly ended: () => boolean;
  readonly onFault: (fault: Fault) => void;
  /** How much longer than about a second the lab is left alone between faults. */
  readonly calm: number;
}

/** Faults in turn, in a new order each round, until the run ends. The lab may be left hurt: see {@link healAll}. */
export async function hurt(lab: Lab, options: NemesisOptions): Promise<void> {
  const { random, pause, ended } = options;
  while (!ended()) {
    for (const kind of shuffled(faultKinds(lab), random)) {
      await pause((300 + 1_200 * random()) * options.calm);
      if (ended()) return;
      const node = await victim(lab, random);
      options.onFault({ kind, node });
      await commit(lab, kind, node);
      // Mostly short; one in eight outlasts leases and time limits.
      await pause(random() < 0.125 ? 4_000 + 4_000 * random() : 200 + 1_800 * random());
      await undo(lab, node);
    }
  }
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** The leader every other time: what happens to others is noticed less. */
async function victim(lab: Lab, random: () => number): Promise<string> {
  const leader = random() < 0.5 ? await leaderOf(lab) : null;
  return leader ?? lab.nodes[Math.floor(random() * lab.nodes.length)]!.name;
}

async function statusOf(node: LabNode): Promise<Awaited<ReturnType<typeof agentStatus>> | null> {
  try {
    return await agentStatus(node, 1_000);
  } catch (error) {
    if (error instanceof ApiCallError) return null;
    throw error;
  }
}

async function leaderOf(lab: Lab): Promise<string | null> {
  const all = await Promise.all(lab.nodes.map(async (node) => ({ node, status: await statusOf(node) })));
  const leading = all.filter(({ status }) => status?.role === 'leader');
  leading.sort((a, b) => (b.status?.term ?? 0) - (a.status?.term ?? 0));
  return leading[0]?.node.name ?? null;
}

async function commit(lab: Lab, kind: FaultKind, name: string): Promise<void> {
  switch (kind) {
    case 'kill': {
      const agent = agentOf(lab, name);
      if (agent !== null) signalProcess(agent, 'SIGKILL');
      return;
    }
    case 'freeze':
      labFreeze(lab, name);
      return;
    case 'cut':
      return labCut(lab, name);
    case 'cut-in':
      return labCut(lab, name, 'in');
    case 'cut-out':
      return labCut(lab, name, 'out');
  }
}

/** The child of the host's keeper that is its agent; null: the keeper is about to start one. */
function agentOf(lab: Lab, name: string): ProcessId | null {
  const node = lab.node(name);
  const { keeper } = loadState(node);
  if (keeper === null || !isAlive(keeper))
    throw new CliError(`${name} has no keeper`, `skein lab logs ${name}`);
  const isAgent = ({ pid }: ProcessId): boolean =>
    statOf(pid)?.parent === keeper.pid && words(pid).some((word) => word.endsWith('/agent.mjs'));
  return hostProcesses(node).find(isAgent) ?? null;
}

function words(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return [];
    throw error;
  }
}

/** The host goes on, connected, and its agent answers. */
async function undo(lab: Lab, name: string): Promise<void> {
  const node = lab.node(name);
  const state = loadState(node);
  if (state.frozen) labThaw(lab, name);
  if (state.cut !== 'none') await labHeal(lab, name);
  if (state.keeper === null) throw new CliError(`${name} has no keeper`, `skein lab logs ${name}`);
  await waitForAgent(node, state.keeper);
}

export async function healAll(lab: Lab): Promise<void> {
  for (const { name } of lab.nodes) await undo(lab, name);
}

const agree_timeout_ms = 90_000;

/** Waits until all hosts stand at the same index with the same state; that, as `index:hash`. */
export async function untilAllAgree(lab: Lab): Promise<string> {
  const deadline = Date.now() + agree_timeout_ms;
  for (;;) {
    const all = await Promise.all(lab.nodes.map(statusOf));
    const hashes = all.map((status) => status?.state_hash ?? 'no answer');
    const [first = ''] = hashes;
    if (all[0] && hashes.every((hash) => hash === first)) return first;
    if (Date.now() > deadline) {
      const seen = lab.nodes.map((node, at) => `${node.name} ${hashes[at]}`).join(', ');
      throw new CliError(
        `the hosts do not agree ${agree_timeout_ms / 1000} s after all was healed: ${seen}`,
        'skein lab status',
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
