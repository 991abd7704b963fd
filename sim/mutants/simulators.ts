/**
 * The simulators as one function each: a run from a seed that throws for a breach. They are loaded when asked for, so
 * that a mutant can be put in place first.
 */
import type { Turn } from '../cluster/virtual-time.ts';
import type { SimulatorName } from './mutant.ts';

/** @param nth of its seeds, from 0 */
export type Simulator = (seed: number, nth: number) => Promise<void>;

/** Virtual time under faults, a run. */
const raft_ms = 30_000;
const cluster_minutes = 5;
const explored_states = 60_000;

async function raft(): Promise<Simulator> {
  const { runSeed } = await import('../raft/run.ts');
  return async (seed) => {
    await runSeed(seed, { ms: raft_ms });
  };
}

async function cluster(turn: Turn): Promise<Simulator> {
  const { runSeed } = await import('../cluster/run-seed.ts');
  return async (seed) => {
    await runSeed({ seed, nodes: null, minutes: cluster_minutes, protection_changes: false, turn });
  };
}

/** Each "seed" is one scope: the exploration draws nothing that matters. */
async function explore(): Promise<Simulator> {
  const { createCore } = await import('../../src/consensus/core.ts');
  const exploring = await import('../explore/explore.ts');
  const { scopes } = await import('../explore/scenes.ts');
  return async (seed, nth) => {
    const scope = scopes[nth];
    if (scope === undefined) return;
    const { scene, lag } = scope;
    const found = exploring.explore({
      createCore,
      bounds: scope.bounds(2, 2),
      scene,
      lag,
      states: explored_states,
      seed,
      audits: 0,
    });
    if (found.breach !== null)
      throw new Error(`${found.breach.what}\n${scope.name}\n${found.breach.trace.join('\n')}`);
  };
}

/** Each "seed" is one folder of sim/scenarios: its rules and expectations count, its log does not. */
async function scenarios(turn: Turn): Promise<Simulator> {
  const { loadScenario, scenarioNames } = await import('../run-scenarios.ts');
  const { playScenario } = await import('../scenarios/play.ts');
  const names = scenarioNames();
  return async (_seed, nth) => {
    const name = names[nth];
    if (name === undefined) return;
    const { failure } = await playScenario(loadScenario(name), turn);
    if (failure !== null) throw new Error(`${failure}\nnode sim/run-scenarios.ts ${name}`);
  };
}

async function scenes(): Promise<Simulator> {
  const { playAll } = await import('./scenes.ts');
  return playAll;
}

async function rot(): Promise<Simulator> {
  const { rotOnce } = await import('./rot.ts');
  return rotOnce;
}

/** `turn`: one turn of the event loop, for the agents' promises. */
export const simulators: Readonly<Record<SimulatorName, (turn: Turn) => Promise<Simulator>>> = {
  raft,
  scenes,
  explore,
  cluster,
  scenarios,
  rot,
};
