/**
 * Seed after seed in child processes until the budget is used up, a rule is broken, or somebody says stop. The account
 * is written after each seed; at a stop the seeds under way are left for the next run. Every way out prints the summary.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { mark_names } from './cluster/mark-names.ts';
import { formatSeed } from './kit/seed.ts';
import type { SwarmAnswer, SwarmOrder } from './run-swarm-child.ts';
import { checkoutCommit, readState, writeState } from './run-swarm-state.ts';
import {
  emptyState,
  type Given,
  give,
  type SwarmSettings,
  type SwarmState,
  seedBroke,
  seedDone,
} from './swarm/state.ts';
import { swarmSummary } from './swarm/summary.ts';

export interface SwarmRun {
  /** Of a new run; one that is resumed keeps its own, and its settings. */
  readonly base: number;
  readonly settings: SwarmSettings;
  readonly say: (line: string) => void;
  readonly json: boolean;
  readonly budget_s: number;
  /** The state file. null: none. */
  readonly resume: string | null;
  readonly jobs: number;
  /** Go on after a breach; the status is 1 all the same. */
  readonly keep_going: boolean;
}

const child_path = fileURLToPath(new URL('./run-swarm-child.ts', import.meta.url));
/** Most of what a run makes is garbage at once: with room for it, an eighth less time is spent on collecting it. */
const child_options = ['--max-semi-space-size=64'];

/** Resolves to the exit status: 0 when all rules held. */
export function runSwarm(run: SwarmRun): Promise<number> {
  const commit = checkoutCommit();
  const known = run.resume === null ? null : readState(run.resume);
  let state: SwarmState = known ?? emptyState(run.base, run.settings);
  const wall_before_s = state.wall_s;
  const breaches_before = state.breaches.length;
  const began_ms = performance.now();
  const passed_s = () => (performance.now() - began_ms) / 1000;
  const running = new Map<ChildProcess, Given>();
  const children = new Set<ChildProcess>();
  let stopping = false;

  run.say(
    `base ${formatSeed(state.base)}, commit ${commit}, ${run.jobs} of ${availableParallelism()} processors, ${state.settings.minutes / 60} simulated hours a seed${known === null ? '' : `; resumed after ${known.seeds} seeds`}`,
  );

  return new Promise((resolve) => {
    const keep = () => {
      state = { ...state, wall_s: wall_before_s + passed_s() };
      if (run.resume !== null) writeState(run.resume, state);
    };
    const end = () => {
      process.removeListener('SIGINT', stop);
      process.removeListener('SIGTERM', stop);
      keep();
      if (run.json) console.log(JSON.stringify(state, null, 2));
      for (const line of swarmSummary(state, mark_names)) run.say(line);
      resolve(state.breaches.length > breaches_before ? 1 : 0);
    };
    const stop = () => {
      if (stopping) return;
      stopping = true;
      run.say(`stopped; ${running.size} seeds under way are left for the next run`);
      for (const child of children) child.kill('SIGKILL');
    };
    const next = (child: ChildProcess) => {
      running.delete(child);
      const broken = state.breaches.length > breaches_before && !run.keep_going;
      if (stopping || broken || passed_s() >= run.budget_s) {
        child.disconnect();
        return;
      }
      const found = give(state, new Set([...running.values()].map(({ nth }) => nth)));
      state = found.state;
      running.set(child, found.given);
      child.send({ given: found.given, settings: state.settings } satisfies SwarmOrder);
    };
    const take = (answer: SwarmAnswer) => {
      if ('done' in answer) {
        state = seedDone(state, answer.nth, commit, answer.done);
        run.say(answer.line);
      } else {
        state = seedBroke(state, answer.nth, commit, answer.breach);
        run.say(answer.breach);
      }
      keep();
    };
    const start = () => {
      const child = fork(child_path, [], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        execArgv: [...process.execArgv, ...child_options],
      });
      children.add(child);
      child.on('message', (answer: SwarmAnswer) => {
        if (stopping) return;
        take(answer);
        next(child);
      });
      child.on('exit', (code, signal) => {
        children.delete(child);
        const lost = running.get(child);
        running.delete(child);
        if (lost !== undefined && !stopping) {
          const text = `seed ${formatSeed(lost.seed)}: its process ended with ${signal ?? code}`;
          take({ nth: lost.nth, breach: text });
          if (run.keep_going) start();
        }
        if (children.size === 0) end();
      });
      next(child);
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    for (let i = 0; i < run.jobs; i += 1) start();
  });
}
