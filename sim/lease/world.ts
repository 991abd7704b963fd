/**
 * The model's hosts, its one true clock, its network, and who gets to act when: a frozen agent or keeper finds its work
 * when it comes to itself, a dead one loses it. For tests.
 */

import type { HaMemory } from '../../src/node/ha/observe.ts';
import type { RunEvent } from '../../src/node/ha/oracle.ts';
import { type FenceLease, no_lease } from '../../src/node/keeper/fence-action.ts';
import type { GrantDesk } from '../../src/node/lease/grant-desk.ts';
import { type NodeLeaseMemory, no_node_lease } from '../../src/node/lease/node-lease.ts';
import { Queue, randomFrom } from './queue.ts';
import type { ModelEntry, ModelState } from './state.ts';

/** Rules left out, one at a time. */
export type Variant =
  | 'none'
  | 'grant-without-round'
  | 'lease-from-reply'
  | 'new-leader-does-not-wait'
  | 'short-wait'
  | 'index-not-applied'
  | 'grant-while-loss-proposed'
  | 'epoch-survives-reboot';

export interface Guest {
  readonly instance: string;
  readonly epoch: number;
  stopped: boolean;
  proven: boolean;
  frozen: boolean;
  /** A resume waits in the monitor of a frozen guest. */
  resume_queued: boolean;
  running: boolean;
}

export interface Lead {
  readonly term: number;
  established: boolean;
  since_ms: number;
  readonly desk: GrantDesk;
  memory: HaMemory;
  readonly busy: Set<string>;
  readonly proposed_boots: Set<string>;
}

export interface Host {
  readonly id: string;
  readonly rate: number;
  readonly watchdog: boolean;
  up: boolean;
  boot: number;
  booted_at: number;
  agent_life: number;
  agent_up: boolean;
  agent_frozen_until: number;
  keeper_frozen_until: number;
  pipe_at: number;
  lease: NodeLeaseMemory;
  sequence: number;
  fence: FenceLease;
  applied: number;
  term: number;
  leader: Host | null;
  lead: Lead | null;
  keeper_freezes: number;
  readonly guests: Map<string, Guest>;
}

export interface History {
  readonly events: readonly RunEvent[];
  /** Rare states that were reached: a test that never gets there proves nothing. */
  readonly marks: ReadonlyMap<string, number>;
}

export type Trace = (at_ms: number, text: string) => void;

export class World {
  now = 0;
  established_term = 0;
  readonly variant: Variant;
  readonly trace: Trace;
  readonly random: () => number;
  readonly hosts: readonly Host[];
  readonly majority: number;
  /** How soon a leader without a majority notices, per election tick. */
  readonly step_down: number;
  readonly events: RunEvent[] = [];
  readonly marks = new Map<string, number>();
  /** `from to` → cut until. */
  readonly cut = new Map<string, number>();
  /** states[i]: after entry i; committed for ever. */
  readonly states: ModelState[];
  /** Proposed and not known to be committed. A later leader may have them in its log, unless one came between. */
  readonly in_flight = new Set<{ readonly entry: ModelEntry; readonly term: number }>();
  readonly #queue = new Queue();

  constructor(seed: number, variant: Variant, trace: Trace) {
    this.variant = variant;
    this.trace = trace;
    this.random = randomFrom(seed);
    this.step_down = this.random() < 0.5 ? 0.4 : 0.02;
    const size = 3 + Math.floor(this.random() * 3);
    this.majority = Math.floor(size / 2) + 1;
    this.hosts = Array.from({ length: size }, (_, i) => this.#host(`n${i}`));
    this.states = [
      {
        owners: new Map(
          ['web', 'db'].map((name) => [name, { node: this.pick(this.hosts).id, boot: 1, epoch: 1 }]),
        ),
        boots: new Map(this.hosts.map((h) => [h.id, 1])),
        health: new Map(this.hosts.map((h) => [h.id, 'member' as const])),
      },
    ];
  }

  #host(id: string): Host {
    return {
      id,
      rate: this.between(0.99, 1.01),
      watchdog: this.random() < 0.5,
      up: true,
      boot: 1,
      booted_at: -this.between(1000, 9000),
      agent_life: 1,
      agent_up: true,
      agent_frozen_until: 0,
      keeper_frozen_until: 0,
      pipe_at: 0,
      lease: no_node_lease,
      sequence: 0,
      fence: no_lease,
      applied: 0,
      term: 1,
      leader: null,
      lead: null,
      keeper_freezes: 0,
      guests: new Map(),
    };
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!;
  }

  mark(name: string, detail = ''): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1);
    this.trace(this.now, `${name} ${detail}`);
  }

  at(time: number, fn: () => void): void {
    this.#queue.push(Math.max(time, this.now), fn);
  }

  run(until_ms: number): void {
    for (let next = this.#queue.pop(); next !== undefined && next.at <= until_ms; next = this.#queue.pop()) {
      this.now = next.at;
      next.fn();
    }
  }

  stateOf(h: Host): ModelState {
    return this.states[h.applied]!;
  }

  /** The host's own boot-time clock. */
  clock(h: Host): number {
    return 1000 + (this.now - h.booted_at) * h.rate;
  }

  whenClock(h: Host, ms: number): number {
    return h.booted_at + (ms - 1000) / h.rate;
  }

  linked(a: Host, b: Host): boolean {
    return a === b || (this.cut.get(`${a.id} ${b.id}`) ?? 0) <= this.now;
  }

  agentRuns(h: Host): boolean {
    return h.up && h.agent_up && h.agent_frozen_until <= this.now;
  }

  reach(a: Host, b: Host): boolean {
    return this.linked(a, b) && this.linked(b, a) && this.agentRuns(b);
  }

  onAgent(h: Host, fn: () => void, life = h.agent_life): void {
    if (!h.up || !h.agent_up || h.agent_life !== life) return;
    if (h.agent_frozen_until > this.now) this.at(h.agent_frozen_until, () => this.onAgent(h, fn, life));
    else fn();
  }

  onKeeper(h: Host, fn: () => void, boot = h.boot): void {
    if (!h.up || h.boot !== boot) return;
    if (h.keeper_frozen_until > this.now) this.at(h.keeper_frozen_until, () => this.onKeeper(h, fn, boot));
    else fn();
  }

  /** Mostly quick, sometimes very late, never twice. */
  send(from: Host, to: Host, fn: () => void): void {
    if (!this.linked(from, to)) return;
    const late = this.random() < 0.06 ? this.between(200, 2500) : this.between(1, 20);
    this.at(this.now + (from === to ? 0 : late), () => {
      if (this.linked(from, to)) this.onAgent(to, fn);
    });
  }
}
