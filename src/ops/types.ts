/**
 * Opcodes as durable functions, and what the job engine needs from the world. An opcode runs on the leader; whatever
 * it does or learns goes through {@link OpContext}, is recorded in the log before the next step begins, and is not done
 * again when another leader runs the function from the top.
 */
import type { StateView } from '../config/api.ts';
import type { Command } from '../config/commands.ts';
import type { LockRequest, OpInput, OpLogLine } from '../config/model.ts';

/** Verbs that a node acts on for a step; arguments and results are plain data. Implemented in node/actions. */
export interface NodeVerbs {
  'disk.create': { args: { disk: string }; result: null };
  'disk.remove': { args: { template: string; disk: import('../drivers/types.ts').DiskSpec }; result: null };
  'os.create': {
    args: { instance: string; reinstall: boolean; osparams: Record<string, string> };
    result: null;
  };
  /** Starts what the node's own applied state says, if it names this node, its boot and `epoch`. */
  'instance.start': {
    args: {
      instance: string;
      epoch: number;
      hvparams: Record<string, string | number | boolean | null>;
      paused: boolean;
    };
    result: null;
  };
  'instance.stop': {
    args: { instance: string; name: string; hypervisor: string; timeout_ms: number };
    result: { was_running: boolean };
  };
  'instance.reset': { args: { instance: string; name: string; hypervisor: string }; result: null };
  /** Ends the guest at once, and removes taps, sockets and logs. */
  'instance.cleanup': { args: { instance: string; name: string; hypervisor: string }; result: null };
  'node.check': {
    args: {
      hypervisor: string;
      disk_template: string;
      os: string;
      memory_mib: number;
      hvparams: Record<string, string | number | boolean | null>;
      nics: readonly { mode: string; link: string }[];
    };
    result: { problems: string[]; free_memory_mib: number };
  };
  /** Everything `cluster verify` wants to know of a node. */
  'node.verify': { args: Record<string, never>; result: NodeVerifyReport };
  /** Reboots this host by the operator's program, unless it has left the boot `boot` already. Done when that has ended; the host may go down before it answers. */
  'node.reboot': { args: { boot: number }; result: { rebooted: boolean } };
  /** Power cycles *another* host by Ganeti's out-of-band program, unless that has left the boot `boot` already. */
  'node.power-cycle': { args: { program: string; node: string; boot: number }; result: { cycled: boolean } };
  'test.delay': { args: { duration_ms: number }; result: null };
}
export type VerbName = keyof NodeVerbs;

export interface NodeVerifyReport {
  readonly guests: readonly { name: string; uuid: string; epoch: number; state: string }[];
  /** Files under the storage directories that no disk of the configuration names. */
  readonly orphan_files: readonly string[];
  readonly missing_disks: readonly string[];
  readonly applied_index: number;
  readonly state_hash_at: { index: number; hash: string };
  readonly version: string;
  readonly wall_time: number;
  readonly hypervisors: Readonly<Record<string, { available: boolean; reason: string }>>;
  /** `memory`, and each storage directory. */
  readonly free_mib: Readonly<Record<string, number>>;
}

/** Identifies one step for ever: the node joins a second call with the same key to the first. */
export interface StepKey {
  readonly job: number;
  readonly op: number;
  readonly step: number;
  /** true for the call that undoes the step. */
  readonly undo: boolean;
}

/** What the engine needs. `propose` rejects with ConsensusError-like errors (`code`, `outcome`). */
export interface OpsPorts {
  /** The leader's own applied state; changes only between awaits. */
  readonly state: StateView;
  propose(command: Command): Promise<{ index: number; value: unknown }>;
  /** Calls a verb on a node for a step that is open at `index`; resolves with its result. Rejects with {@link NodeCallError}. Retries by itself while the node is not lost; ends with `node-lost` when it is. */
  call(
    node_uuid: string,
    key: StepKey,
    index: number,
    verb: VerbName,
    args: unknown,
    onProgress: (p: Progress) => void,
    signal: AbortSignal,
  ): Promise<unknown>;
  /** Where instances go. */
  readonly placement: import('./placement-desk.ts').PlacementDesk;
  /** Live data of nodes, as of their last lease renewal; undefined when the leader has none. */
  live(node_uuid: string): LiveNode | undefined;
  /** Whether the leader, right now, may act on this node's loss (evidence), and by what. */
  evidence(node_uuid: string): import('../config/model.ts').Evidence | null;
  /** From now until the returned function is called, this node is granted no lease (docs/ha.md, rule 4). */
  barLease(node_uuid: string): () => void;
  /** Removes a member from the Raft group before its node object goes. */
  removeMember(member: number): Promise<void>;
  /** Member numbers of the voters, both halves of a joint configuration. */
  voters(): readonly number[];
  now_ms(): number;
  /** Wall clock in seconds, for timestamps only. */
  wall_s(): number;
  after(delay_ms: number, fn: () => void): () => void;
  uuid(): string;
  random(): number;
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>): void;
}

export interface LiveNode {
  readonly boot: number;
  readonly total_memory_mib: number;
  readonly free_memory_mib: number;
  readonly cpus: number;
  readonly total_disk_mib: number;
  readonly free_disk_mib: number;
  readonly guests: readonly {
    readonly name: string;
    readonly uuid: string;
    readonly epoch: number;
    readonly state: string;
    readonly memory_mib: number;
    readonly vcpus: number;
  }[];
  readonly os: readonly string[];
  readonly age_ms: number;
}

export interface Progress {
  readonly text: string;
  readonly done: number | null;
  readonly total: number | null;
  readonly unit: 'bytes' | 'percent' | '';
  readonly eta_s: number | null;
}

export class NodeCallError extends Error {
  /** `failed`: the node tried and says why. `node-lost`: evidence ended the step. `refused`: step closed, stale term or no lease. `canceled`: by signal. */
  readonly code: 'failed' | 'node-lost' | 'refused' | 'canceled';
  constructor(code: NodeCallError['code'], message: string) {
    super(message);
    this.name = 'NodeCallError';
    this.code = code;
  }
}

/** An operator-visible failure, with Ganeti's class and code: [class, [message, ecode]] is the op's result. */
export class OpError extends Error {
  readonly kind: 'OpPrereqError' | 'OpExecError' | 'ParameterError' | 'HooksAbort';
  readonly ecode:
    | 'resolver_error'
    | 'insufficient_resources'
    | 'temp_insufficient_resources'
    | 'wrong_input'
    | 'wrong_state'
    | 'unknown_entity'
    | 'already_exists'
    | 'resource_not_unique'
    | 'internal_error'
    | 'environment_error'
    | '';
  constructor(kind: OpError['kind'], message: string, ecode: OpError['ecode'] = '') {
    super(message);
    this.name = kind;
    this.kind = kind;
    this.ecode = ecode;
  }
}

export interface StepOptions<V extends VerbName> {
  /** What undoes this step, as data: recorded before the step begins, so that a leader that never saw the opcode run can undo it. */
  readonly undo?: { [U in VerbName]: { verb: U; args: NodeVerbs[U]['args'] } }[VerbName];
  /** The node being lost does not fail the opcode: the step ends with null. */
  readonly tolerate_lost?: boolean;
  /** Computes configuration changes to commit in one entry with the step's result. */
  readonly commit?: (result: NodeVerbs[V]['result']) => readonly Command[];
}

/** All of a durable function's dealings with the world. */
export interface OpContext {
  readonly job: number;
  readonly op: number;
  /** The state as of now; anything decided from it must go through `learn`, or be re-checked by a condition in a command. */
  readonly state: StateView;
  /** A recorded act on a node. Returns the recorded result on replay. */
  step<V extends VerbName>(
    name: string,
    node: string,
    verb: V,
    args: NodeVerbs[V]['args'],
    options?: StepOptions<V>,
  ): Promise<NodeVerbs[V]['result']>;
  /** Changes the configuration; a refusal becomes an {@link OpError}. Returns each command's apply value. `undo` restores it when the job is undone. */
  commit(name: string, commands: readonly Command[], undo?: readonly Command[]): Promise<readonly unknown[]>;
  /** Records what `fn` found (a choice, a time, an id, a reading): plain data. */
  learn<T>(name: string, fn: () => T | Promise<T>): Promise<T>;
  /** From here on the op is not undone by a failure: what was built stays, the error is reported. */
  pointOfNoReturn(): void;
  time(): Promise<number>;
  uuid(name: string): Promise<string>;
  log(text: string, kind?: 'message' | 'warning'): Promise<void>;
  /** Not recorded: shown to whoever watches. */
  progress(p: Progress): void;
  /** Sleeps durably: a new leader sleeps only the rest. Interrupted by cancellation. */
  sleep(name: string, ms: number): Promise<void>;
  /** Throws if cancellation was requested. Called by every step by itself. */
  checkCanceled(): void;
  readonly ports: Pick<OpsPorts, 'placement' | 'live' | 'evidence' | 'barLease' | 'removeMember' | 'voters'>;
}

export interface Opcode<P> {
  readonly id: string;
  /** Raise when steps, their order or their arguments change. */
  readonly version: number;
  /** Validates and fills the parameters; throws an {@link OpError} `wrong_input` naming the parameter, its value and what was expected. */
  parse(input: OpInput): P;
  /** Ganeti's one-line summary, e.g. `INSTANCE_CREATE(web1)`. */
  summary(params: P): string;
  locks(params: P, state: StateView): readonly LockRequest[];
  /** It spends its time waiting for jobs of its own: it counts not against the number of running jobs, or it might wait for ever. */
  readonly waits_for_jobs?: true;
  run(ctx: OpContext, params: P): Promise<unknown>;
}

/** What watchers see of a job, besides state changes. */
export interface JobProgress {
  readonly job: number;
  readonly op: number;
  readonly step: string;
  readonly progress: Progress;
}

export interface JobEngine {
  /** Takes up the leader's duty for this term; the own-term entry must be applied. Idempotent per term. */
  start(term: number): void;
  /** Stops at once: nothing that was begun goes on, no proposal leaves afterwards. */
  stop(): void;
  /** Must be called after every applied batch while started (new jobs, cancellations). */
  wake(): void;
  onProgress(handler: (p: JobProgress) => void): () => void;
  /** What a waiting job waits for, in words; null when it does not wait. */
  why(job: number): string | null;
}

export type { LockRequest, OpInput, OpLogLine };
