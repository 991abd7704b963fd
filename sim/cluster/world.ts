/** What every part of a simulated cluster shares: time, chance, network, shared storage, trace, and those who watch. */
import type { ReplicaLimits } from '../../src/consensus/index.ts';
import type { StepKey } from '../../src/ops/types.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { Marks } from '../kit/marks.ts';
import type { Trace } from '../kit/trace.ts';
import type { Links } from './links.ts';
import type { Mark } from './mark-names.ts';
import type { Harm } from './oracles-harm.ts';
import type { LeaseOracles } from './oracles-leases.ts';
import type { VirtualTime } from './virtual-time.ts';

export type Leading = 'elected' | 'leads' | 'hands-over';

/** Told by the hosts what really happens, beside and before whatever agents believe. */
export interface Watcher {
  /** Of leases and epochs. */
  readonly leases: Pick<LeaseOracles, 'booted' | 'latestTerm' | 'granted' | 'leased' | 'started'>;
  /** The virtual CPUs of an instance run on a host from now on, or no longer. */
  runs(host: string, instance: string, runs: boolean): void;
  /** A guest was paused by its host's agent, or frozen or killed by the keeper, for want of a lease. */
  harmed(host: string, instance: string, harm: Harm): void;
  /** A host's agent won an election, takes up a leader's duties, hands over the lead. */
  leading(host: string, what: Leading): void;
  /** A leader is about to ask a node for a step of a job, or for its undoing. */
  asksForStep(host: string, key: StepKey): void;
  /** A keeper lets a guest go on. */
  thawed(instance: string, epoch: number): void;
  /** The master address is on a host from now on, or no longer. */
  address(host: string, held: boolean): void;
  /** A frame of Raft is handed to the network; so many calls of a host wait for an answer. */
  frame(host: string, bytes: number): void;
  calls(host: string, waiting: number): void;
  /** Somebody's keeper, or whole host, stood still until now. */
  keeperStoodStill(host: string, from_ms: number): void;
}

/** How the hosts' parts behave, drawn once a run. Durations in milliseconds of the host's clock. */
export interface HostHabits {
  /** Of its agent: see AgentOptions. */
  readonly raft_limits?: Partial<ReplicaLimits>;
  /** Mean of a synced write. */
  readonly sync_ms: number;
  /** Mean of a line between agent and keeper. */
  readonly pipe_ms: number;
  /** Chance that a guest does not hear the power button. */
  readonly deaf_guests: number;
  /** Chance that a monitor does not answer a pause. */
  readonly mute_monitors: number;
  /** Chance that a master IP script fails, and that it hangs. */
  readonly master_ip_fails: number;
  readonly master_ip_hangs: number;
  /** Chance that an OS installation fails. */
  readonly os_fails: number;
  /** Chance that a start of a guest fails. */
  readonly start_fails: number;
  /** Chance that an out-of-band program gives no answer, at once or after a while; absent: none. */
  readonly oob_fails?: number;
}

export interface World {
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly marks: Marks<Mark>;
  readonly links: Links;
  readonly habits: HostHabits;
  readonly watcher: Watcher;
  /** Files on the storage that every host mounts: size in MiB by path. */
  readonly shared_files: Map<string, number>;
  /** Draws for one more part of the world. */
  fork(): Knobs;
  /** A breach found outside of the caller's reach: the run ends with it. */
  fail(what: string): void;
}

/** Of each host, all of it for guests. */
export const total_memory_mib = 65_536;

/** Unix time at which every run begins, in seconds. */
export const begin_wall_s = 1_800_000_000;
