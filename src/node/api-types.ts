/**
 * The agent's local API: JSON lines over a unix socket (mode 0600). A request is `{id, method, params}`; the answer is
 * `{id, result}` or `{id, error}`; a streaming method sends `{id, event}` lines until its `{id, result}`.
 * The CLI is its first user; names of fields are Ganeti's where Ganeti has the thing.
 */
import type { Command } from '../config/commands.ts';
import type { Evidence, IPolicy, Job, OpInput } from '../config/model.ts';
import type { EvacuationMode, NodeEvacuation } from '../ops/evacuation.ts';
import type { BalancePlan } from '../placement/balance-plan.ts';
import type { PlacementCluster } from '../placement/cluster.ts';
import type { ClusterReport } from '../placement/cluster-report.ts';
import type { MaintenancePlan } from '../placement/maintenance-plan.ts';
import type { MemberStanding } from './voters/standing.ts';

/** `next`: the command to try. `exit`: exit status for the CLI. */
export interface ApiError {
  readonly code:
    | 'not-found'
    | 'invalid'
    | 'exists'
    | 'refused'
    | 'no-quorum'
    | 'no-cluster'
    | 'timeout'
    | 'unavailable'
    | 'internal'
    | 'unknown-outcome';
  readonly message: string;
  readonly next: string;
}

export type QueryResource =
  | 'cluster'
  | 'group'
  | 'node'
  | 'instance'
  | 'job'
  | 'os'
  | 'disk'
  | 'tag'
  | 'lock';

export interface ApiMethods {
  /** This agent alone, without quorum. */
  status: { params: Record<string, never>; result: AgentStatus };
  /** Creates a cluster of one on a host that is in none. */
  'cluster.init': { params: ClusterInitParams; result: { uuid: string } };
  /** Joins this host to the cluster that made the token. Resolves when it is a member and has caught up. */
  'cluster.join': {
    params: { token: string; name?: string; timeout_ms?: number };
    result: { name: string; member: number; cluster_name: string };
  };
  /**
   * Ends all guests of this host and forgets its membership. Refused while the cluster knows this host, or cannot be
   * asked, unless `force`.
   */
  'cluster.leave': { params: { force?: boolean }; result: { cluster_name: string; name: string } };
  /** What `cluster recover` would do here, and whether it may; asks every node directly, changes nothing. */
  'recover.look': { params: Record<string, never>; result: RecoverLook };
  /**
   * Makes this host the only voter of a new generation of its cluster, after a majority was lost for good. The agent
   * starts anew after the answer. `off`: nodes that are powered off and stay so, by the operator's word.
   */
  'cluster.recover': {
    params: { cluster_name: string; off?: readonly string[] };
    result: { cluster_name: string; generation: number; copy: string };
  };
  /** On a host that stands down: begins anew as a member of the generation that it heard of. Guests go on. */
  'cluster.follow': {
    params: { cluster_name: string };
    result: { cluster_name: string; generation: number; recovered_by: string; copy: string };
  };
  /** The operator's word, after a recovery, that a node not seen since is off. */
  'recover.word': { params: { node: string }; result: null };
  'token.create': {
    params: { expires_s: number; group?: string; master_capable: boolean; vm_capable: boolean };
    result: { token: string; id: string; expires: number };
  };
  'token.revoke': { params: { id: string }; result: null };
  /** Linearizable unless `stale`; rows are plain objects with every field, or with those of `fields` that the resource has. `names` empty: all. */
  query: {
    params: {
      resource: QueryResource;
      names?: readonly string[];
      fields?: readonly string[];
      stale?: boolean;
    };
    result: { rows: readonly Record<string, unknown>[]; stale_ms: number | null; index: number };
  };
  submit: {
    params: {
      request_id: string;
      jobs: readonly {
        ops: readonly OpInput[];
        priority?: number;
        depends?: readonly { job: number; states: readonly string[] }[];
        reason?: readonly (readonly [string, string, number])[];
      }[];
    };
    result: { jobs: readonly number[] };
  };
  /** Streams {@link JobEvent}s until the job has ended; result is the job. */
  'job.watch': { params: { job: number }; result: Job };
  'job.cancel': { params: { job: number }; result: { canceled: boolean; message: string } };
  'job.priority': { params: { job: number; priority: number }; result: null };
  /** Has a job wait at its next place to wait; null: lets it go on. Only a maintenance has such places. */
  'job.hold': { params: { job: number; why: string | null }; result: null };
  /** Plans for the cluster as it is now. Linearizable. `lines`: for people. */
  'balance.plan': {
    params: {
      group?: string;
      max_moves: number;
      min_gain: number;
      gain_per_gib: number;
      gain_per_down_s: number;
    };
    result: { plan: BalancePlan; lines: readonly string[] };
  };
  /** The cluster as the engine that places instances sees it now. Linearizable. The node that leads is the `master`. */
  'placement.cluster': { params: Record<string, never>; result: { cluster: PlacementCluster } };
  /** `refused`: why a job with these parameters would not begin; null: it would. */
  'evacuation.plan': {
    params: { node: string; to?: string; mode: EvacuationMode; allow_restart: boolean };
    result: { plan: NodeEvacuation; refused: string | null };
  };
  'maintenance.plan': {
    params: { nodes: readonly string[]; group?: string; offline: boolean; at_once?: number };
    result: { plan: MaintenancePlan; lines: readonly string[] };
  };
  'job.archive': { params: { jobs: readonly number[] }; result: { archived: number } };
  'job.why': { params: { job: number }; result: { why: string | null } };
  /** Streams {@link ClusterEvent}s from `since` (log index; 0: from now) until the client goes. */
  events: { params: { since?: number }; result: null };
  /** Where an instance's console is. After the answer, if `attach`, the connection becomes the raw byte stream, wherever in the cluster the guest runs. */
  'instance.console': {
    params: { instance: string; attach: boolean };
    result: { node: string; kind: string; message: string };
  };
  'instance.why': {
    params: { instance: string };
    result: {
      lines: readonly string[];
      log: readonly { time: number; epoch: number; from: string; to: string; evidence: Evidence }[];
    };
  };
  /** What the cluster still holds, and what the loss of a node would do. `lost`: only that, of that node. Linearizable. */
  'cluster.capacity': {
    params: { disk_template?: string; lost?: string };
    result: ClusterReport;
  };
  /** As the leader sees the group. */
  'raft.status': { params: Record<string, never>; result: RaftStatus };
  'raft.transfer': { params: { to?: string }; result: null };
  /** Hands the lead on, stops serving; guests go on. */
  'agent.stop': { params: Record<string, never>; result: null };
  /** For tests: proposes a raw command. Only when the agent was started with SKEIN_TEST=1. */
  'test.propose': { params: { command: Command }; result: unknown };
  /** For tests: this agent's process dies at the job's n-th entry that it proposes (null: only counts). Answers the entries counted since the last order. */
  'test.crash': {
    params: { job: number; entry: number | null; moment: 'before' | 'during' | 'after' };
    result: { seen: readonly string[] };
  };
}

export interface RecoverLook {
  readonly cluster_name: string;
  /** Of this node. */
  readonly name: string;
  /** Why it may not be recovered here, and what to do instead; null: it may. */
  readonly refusal: string | null;
  readonly next: string;
  /** Where this host's log ends; `time` in Unix seconds, null: of a command that is in the log no more. */
  readonly last: { readonly index: number; readonly term: number; readonly time: number | null };
  readonly commit: number;
  /** This one first. `silent_since` in Unix seconds, null: it answers, or was not heard since this agent started. */
  readonly nodes: readonly {
    readonly name: string;
    readonly voter: boolean;
    readonly answers: boolean;
    readonly silent_since: number | null;
    readonly last_index: number | null;
  }[];
  /** Jobs that have not ended. */
  readonly jobs: readonly number[];
  readonly instances: readonly { readonly name: string; readonly node: string; readonly guarded: boolean }[];
  /** After an earlier recovery: nodes not seen since. */
  readonly unseen: readonly { readonly name: string; readonly word: boolean }[];
}

export interface RaftStatus {
  readonly leader: string;
  readonly term: number;
  /** What the choice of voters lacks or waits for; '' when all is as it should be. */
  readonly waits_for: string;
  readonly members: readonly MemberStanding[];
}

export interface ClusterInitParams {
  readonly cluster_name: string;
  readonly node_name: string;
  readonly primary_ip: string;
  readonly master_ip: string;
  readonly master_netdev: string;
  readonly master_netmask: number;
  readonly enabled_hypervisors: readonly string[];
  readonly enabled_disk_templates: readonly string[];
  readonly file_storage_dir: string;
  readonly shared_file_storage_dir: string;
  readonly nicparams: Readonly<Record<string, string>>;
  readonly hvparams: Readonly<Record<string, Readonly<Record<string, string | number | boolean | null>>>>;
  readonly ha: Readonly<Record<string, string | number>>;
  readonly candidate_pool_size: number;
  /** What of the instance policy is not to be the built-in value. */
  readonly ipolicy?: Partial<IPolicy>;
}

export interface AgentStatus {
  readonly version: string;
  readonly node_version: string;
  readonly name: string;
  readonly member: number;
  readonly peer_id: string;
  readonly in_cluster: boolean;
  readonly role: string;
  readonly term: number;
  readonly leader: string;
  readonly established: boolean;
  /** Numbers of the members of the Raft group, voters first, as this host's log has them. */
  readonly raft_members: readonly number[];
  readonly commit: number;
  readonly applied: number;
  readonly boot: number;
  readonly lease_left_ms: number;
  readonly lease_valid: boolean;
  readonly master_ip_held: boolean;
  readonly keeper: boolean;
  readonly peers: readonly { name: string; member: number; up: boolean }[];
  readonly guests: readonly { name: string; state: string; epoch: number }[];
  readonly warnings: readonly string[];
  readonly pid: number;
  readonly keeper_pid: number;
  readonly state_hash: string;
}

export type JobEvent =
  | { readonly type: 'job'; readonly job: Job }
  | {
      readonly type: 'progress';
      readonly op: number;
      readonly step: string;
      readonly text: string;
      readonly done: number | null;
      readonly total: number | null;
      readonly eta_s: number | null;
    };

export interface ClusterEvent {
  readonly index: number;
  readonly time: number;
  /** e.g. `node`, `instance`, `job`, `leader`. */
  readonly kind: string;
  readonly name: string;
  readonly text: string;
}
