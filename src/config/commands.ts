/**
 * The commands that change the replicated state. Each is a small record, validated before it is proposed and again,
 * cheaply, when applied. Times, uuids and every other choice are in the command: applying is a pure function of state
 * and command. A command whose condition does not hold changes nothing and says why.
 */
import type {
  AdminState,
  Cluster,
  Disk,
  Evidence,
  HaParams,
  Instance,
  LockRequest,
  Node,
  NodeGroup,
  NodeHealth,
  OpInput,
  OpStatus,
  Owner,
  Params,
  Step,
} from './model.ts';

export const command_version = 1;

export type TagKind = 'cluster' | 'nodegroup' | 'node' | 'instance';

export type Command =
  | {
      readonly type: 'cluster-init';
      readonly time: number;
      readonly cluster: Cluster;
      readonly group: NodeGroup;
      readonly node: Node;
    }
  | {
      readonly type: 'cluster-set';
      readonly time: number;
      readonly changes: Partial<Omit<Cluster, 'uuid' | 'serial_no' | 'ctime' | 'mtime' | 'tags' | 'ha'>> & {
        readonly ha?: Partial<HaParams>;
      };
    }
  | { readonly type: 'cluster-destroy'; readonly time: number }
  /** Replaces the fields named. */
  | {
      readonly type: 'group-set';
      readonly time: number;
      readonly uuid: string;
      readonly changes: Partial<Pick<NodeGroup, 'alloc_policy' | 'ipolicy'>>;
    }
  /** The first command of a new generation, written into the log by `cluster recover`. `words`: nodes said to be off. */
  | {
      readonly type: 'cluster-recover';
      readonly time: number;
      readonly generation: number;
      readonly node: string;
      readonly words: readonly string[];
    }
  /** A node was heard for the first time in this generation. */
  | { readonly type: 'node-seen'; readonly time: number; readonly uuid: string }
  /** An operator's word that a node not seen in this generation is off. */
  | { readonly type: 'node-word'; readonly time: number; readonly uuid: string }
  | {
      readonly type: 'token-add';
      readonly time: number;
      readonly id: string;
      readonly secret_hash: string;
      readonly expires: number;
      readonly group: string;
      readonly master_capable: boolean;
      readonly vm_capable: boolean;
    }
  | { readonly type: 'token-revoke'; readonly time: number; readonly id: string }
  /**
   * Consumes the token if it is unused, not expired (by `time`) and `secret_hash` matches; or was used by the same peer:
   * then answers the same member again, to the same `life`. A host that is a node already, by its PeerId, becomes a new one
   * in its place (apply-join.ts). Result: {@link NodeJoined}.
   */
  | {
      readonly type: 'node-join';
      readonly time: number;
      readonly token: string;
      readonly secret_hash: string;
      readonly peer_id: string;
      readonly uuid: string;
      readonly name: string;
      readonly addresses: readonly string[];
      readonly primary_ip: string;
      readonly boot: number;
      /** Names the life of the joiner's agent in which it has begun as no member yet. Absent in entries of early versions. */
      readonly life?: string;
    }
  | {
      readonly type: 'node-set';
      readonly time: number;
      readonly uuid: string;
      readonly changes: Partial<
        Pick<
          Node,
          | 'offline'
          | 'drained'
          | 'master_candidate'
          | 'master_capable'
          | 'vm_capable'
          | 'ndparams'
          | 'secondary_ip'
          | 'primary_ip'
          | 'addresses'
          | 'group'
        >
      >;
    }
  /** Refused while it owns an instance. */
  | { readonly type: 'node-remove'; readonly time: number; readonly uuid: string }
  /** A higher boot number was seen in a renewal. Lower or equal: no change. */
  | { readonly type: 'node-boot'; readonly time: number; readonly uuid: string; readonly boot: number }
  /** Gives the node a new member number, if it has the number `if_member`: its replica lost its vote and begins anew. All else stays. Result: the new number. */
  | {
      readonly type: 'node-renew';
      readonly time: number;
      readonly uuid: string;
      readonly if_member: number;
    }
  | {
      readonly type: 'node-health';
      readonly time: number;
      readonly uuid: string;
      readonly health: NodeHealth;
      readonly reason: string;
      readonly if_boot: number;
    }
  /** Creates the instance with epoch 1 and its disks; refuses a taken name, MAC or uuid. */
  | {
      readonly type: 'instance-add';
      readonly time: number;
      readonly instance: Omit<Instance, 'serial_no' | 'ctime' | 'mtime' | 'owner' | 'guarded' | 'owner_log'>;
      readonly disks: readonly Omit<Disk, 'serial_no' | 'ctime' | 'mtime'>[];
      readonly boot: number;
    }
  | {
      readonly type: 'instance-set';
      readonly time: number;
      readonly uuid: string;
      readonly if_epoch: number | null;
      readonly changes: {
        readonly admin_state?: AdminState;
        readonly admin_state_source?: 'admin' | 'user';
        readonly beparams?: Params;
        readonly hvparams?: Params;
        readonly osparams?: Params;
        readonly os?: string;
      };
    }
  /** Gives the instance to `owner.node` for its boot `owner.boot`, under epoch `if_epoch + 1`. Refused unless the epoch is `if_epoch` and the new owner's boot is its current one. Result: the new {@link Owner}. */
  | {
      readonly type: 'instance-owner';
      readonly time: number;
      readonly uuid: string;
      readonly if_epoch: number;
      readonly node: string;
      readonly boot: number;
      readonly evidence: Evidence;
    }
  | {
      readonly type: 'instance-remove';
      readonly time: number;
      readonly uuid: string;
      readonly if_epoch: number | null;
    }
  /** Adds first, then removes; checks Ganeti's limits. */
  | {
      readonly type: 'tags';
      readonly time: number;
      readonly kind: TagKind;
      readonly uuid: string;
      readonly add: readonly string[];
      readonly remove: readonly string[];
    }
  /** Result: job ids, in order; for a known request id the ids of then. A negative `depends[].job` counts back within this request (-1: the job before). */
  | {
      readonly type: 'job-submit';
      readonly time: number;
      readonly request_id: string;
      readonly jobs: readonly {
        readonly ops: readonly OpInput[];
        readonly priority: number;
        readonly depends: readonly { readonly job: number; readonly states: readonly OpStatus[] }[];
        readonly reason: readonly (readonly [string, string, number])[];
      }[];
    }
  /** queued/waiting -> running (or waiting, to show it); records its locks. */
  | {
      readonly type: 'job-start';
      readonly time: number;
      readonly job: number;
      readonly locks: readonly LockRequest[];
    }
  | { readonly type: 'job-cancel'; readonly time: number; readonly job: number }
  | { readonly type: 'job-priority'; readonly time: number; readonly job: number; readonly priority: number }
  /** Has a job wait at its next place to wait, and says why; null: lets it go on. Only some ops have such places. */
  | { readonly type: 'job-hold'; readonly time: number; readonly job: number; readonly why: string | null }
  | {
      readonly type: 'op-start';
      readonly time: number;
      readonly job: number;
      readonly op: number;
      readonly version: number;
    }
  | {
      readonly type: 'op-log';
      readonly time: number;
      readonly job: number;
      readonly op: number;
      readonly kind: string;
      readonly text: unknown;
    }
  | {
      readonly type: 'op-end';
      readonly time: number;
      readonly job: number;
      readonly op: number;
      readonly status: 'success' | 'error' | 'canceled';
      readonly result: unknown;
    }
  /** Ends the job with the status its ops give it; ops not ended become `canceled` or `error`; its steps are removed. */
  | {
      readonly type: 'job-end';
      readonly time: number;
      readonly job: number;
      readonly status: 'success' | 'error' | 'canceled';
    }
  /** Only for jobs that have ended. */
  | { readonly type: 'job-archive'; readonly time: number; readonly jobs: readonly number[] }
  | { readonly type: 'step-begin'; readonly time: number; readonly step: Omit<Step, 'status' | 'result'> }
  /** Result and configuration changes are one entry: either all `commands` apply and the step has its result, or nothing changes. For a step that only changes configuration or records what was learnt, `begin` carries the step itself: it begins and ends in this entry. */
  | {
      readonly type: 'step-end';
      readonly time: number;
      readonly job: number;
      readonly op: number;
      readonly step: number;
      readonly begin: Omit<Step, 'status' | 'result'> | null;
      readonly status: Exclude<Step['status'], 'open'>;
      readonly result: unknown;
      readonly commands: readonly Command[];
    }
  /** All or nothing. */
  | { readonly type: 'batch'; readonly time: number; readonly commands: readonly Command[] };

export interface NodeJoined {
  readonly uuid: string;
  readonly member: number;
}

/** Why a command changed nothing. Names follow Ganeti's error classes where it has one. */
export interface Refusal {
  readonly code: 'not-found' | 'exists' | 'stale' | 'in-use' | 'invalid' | 'denied' | 'full' | 'no-cluster';
  readonly message: string;
}

export type ApplyResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: Refusal };

export type OwnerResult = Owner;
