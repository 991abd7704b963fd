/**
 * A scenario as it is written down: a cluster, steps one after the other, and what must hold. Read strictly: a key that
 * means nothing here is an error, since a misspelt expectation would pass for ever. Pure.
 */
import { z } from 'zod';

/** `all`: both ways between any two hosts. */
const ways = z.string().regex(/^(all|(\w+>\w+)( \w+>\w+)*)$/);
const host = z.string().min(1);
const request = z.string().regex(/^[\w.:-]{8,}$/);
const ms = z.number().positive();
const op = z.looseObject({ OP_ID: z.string() });

/** An act of sim/cluster/acts.ts, where a host may be `leader`; and `isolate` and `rejoin`, both ways with all others. */
const act = z.discriminatedUnion('do', [
  z.strictObject({
    do: z.enum(['power-off', 'power-on', 'lose', 'wipe', 'kill-agent', 'kill-keeper', 'end-guest']),
    host,
  }),
  z.strictObject({ do: z.enum(['isolate', 'rejoin']), host }),
  z.strictObject({ do: z.enum(['freeze-agent', 'freeze-keeper', 'freeze-host']), host, ms }),
  z.strictObject({ do: z.enum(['cut', 'heal']), ways }),
  z.strictObject({ do: z.literal('slow-disk'), host, times: z.number().min(1) }),
  z.strictObject({
    do: z.literal('delays'),
    delays: z.strictObject({ least_ms: z.number().min(0), mean_ms: z.number().min(0) }).nullable(),
  }),
  z.strictObject({ do: z.literal('disk-errors'), host, on: z.boolean() }),
  z.strictObject({ do: z.literal('disk-room'), host, bytes: z.number().min(0).nullable() }),
  z.strictObject({ do: z.literal('disk-rot'), host, at: z.number().min(0).max(1) }),
  z.strictObject({ do: z.literal('step-clock'), host, ms: z.number() }),
  z.strictObject({ do: z.literal('transfer'), host, to: host.optional() }),
  z.strictObject({ do: z.literal('submit'), request, ops: z.array(op), by: host.optional() }),
  z.strictObject({ do: z.literal('cancel'), request, host }),
  z.strictObject({ do: z.literal('hold'), request, host, why: z.string().min(1).nullable() }),
  z.strictObject({ do: z.literal('registers'), clients: z.number().int().min(1).max(100), every_ms: ms }),
  z.strictObject({ do: z.literal('join'), again: z.exactOptional(host) }),
  z.strictObject({ do: z.literal('mend') }),
  z.strictObject({ do: z.literal('recover'), host, off: z.array(host).default([]) }),
  z.strictObject({ do: z.literal('word'), host, node: host }),
  z.strictObject({ do: z.literal('follow'), host }),
  z.strictObject({
    do: z.literal('store-fault'),
    host,
    store: z.enum(['image', 'journal']),
    code: z.enum(['EIO', 'ENOSPC']).nullable(),
  }),
]);

/** Conditions in words: see conditions.ts. */
const words = z.array(z.string()).readonly();

const step = z.union([
  /** At `at_s` since the cluster is whole, or `after_s` after the step before; else at once. */
  z.strictObject({ at_s: z.number().min(0).optional(), after_s: z.number().min(0).optional(), act }),
  /** Waits until all of it holds. */
  z.strictObject({ until: words, within_s: z.number().min(0).default(60) }),
]);

const chance = z.number().min(0).max(1);

const cluster = z.strictObject({
  nodes: z.number().int().min(1).max(20),
  /** For everything that is not said here. */
  seed: z.number().int().min(0),
  lease: z.enum(['default', 'scaled']).default('scaled'),
  drift: chance.default(0),
  candidate_pool_size: z.number().int().min(1).default(7),
  delays: z
    .strictObject({ least_ms: z.number(), mean_ms: z.number() })
    .default({ least_ms: 0.1, mean_ms: 0.3 }),
  habits: z
    .strictObject({
      sync_ms: z.number().default(1),
      pipe_ms: z.number().default(0.1),
      deaf_guests: chance.default(0),
      mute_monitors: chance.default(0),
      master_ip_fails: chance.default(0),
      master_ip_hangs: chance.default(0),
      os_fails: chance.default(0),
      start_fails: chance.default(0),
    })
    .prefault({}),
});

/** A count, or [least, most]. */
const count = z.union([z.number().int(), z.tuple([z.number().int(), z.number().int()])]);

const scenario = z.strictObject({
  cluster,
  /** Made before the first step, and up: node by instance. Their disks are shared. */
  instances: z.record(z.string(), z.string()).default({}),
  steps: z.array(step),
  /** Passes after the last step. */
  rest_s: z.number().min(0).default(0),
  /** Whether everything is mended then and must converge. Without it the end is judged as it is. */
  heal: z.boolean().default(true),
  /** Must hold in the end. */
  expect: words.default([]),
  /** Must not hold at any time between the first step and the end. */
  never: words.default([]),
  /** Coverage marks of the whole run. */
  counts: z.record(z.string(), count).default({}),
  /** What the log shows beside the steps. */
  log: z
    .array(z.enum(['leader', 'node', 'guest', 'cpus', 'job']))
    .default(['leader', 'node', 'guest', 'cpus', 'job']),
});

export type Scenario = z.output<typeof scenario>;
export type ScenarioInput = z.input<typeof scenario>;
export type Step = Scenario['steps'][number];
export type ScenarioAct = z.output<typeof act>;
/** @throws Error that names the key which is wrong */
export function parseScenario(text: string): Scenario {
  const result = scenario.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  throw new Error(`scenario.json: ${z.prettifyError(result.error)}`);
}
