/** What the engine's tests share: letting a fake world run, and engines that lead it. */
import type { Job } from '../config/model.ts';
import { createJobEngine } from './engine.ts';
import type { FakeWorld, Hooks } from './fake-world.ts';
import { opcodes } from './opcodes/registry.ts';
import type { JobEngine } from './types.ts';

/** Engines come and go on one world; only the last one started is told of what is applied. */
export function lead(world: FakeWorld, term: number, hooks: Hooks = {}): JobEngine {
  const engine = createJobEngine(world.ports(hooks), opcodes);
  world.onApplied(() => engine.wake());
  engine.start(term);
  return engine;
}

export const ended = (world: FakeWorld, id: number): boolean => {
  const job: Job | undefined = world.job(id);
  return !job || job.end_timestamp !== null;
};

/** Runs microtasks (and due immediates) until `done`, letting time pass when nothing moves; fails after `most_ms` of fake time. */
export async function settle(world: FakeWorld, done: () => boolean, most_ms = 300_000): Promise<void> {
  for (let passed_ms = 0; passed_ms <= most_ms; ) {
    for (let turn = 0; turn < 20; turn++) {
      if (done()) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
    world.advance(250);
    passed_ms += 250;
  }
  const jobs = world.state
    .list('jobs')
    .map((job) => `${job.id} ${job.status} ${JSON.stringify(job.ops.map((op) => op.result))}`);
  throw new Error(`not settled: ${jobs.join('; ')}`);
}
