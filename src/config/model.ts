/**
 * The objects of a cluster, with Ganeti's names, fields and units (memory and disk sizes in MiB, times in seconds as
 * floats), so that existing tools understand them. Plain data, treated as immutable: a change replaces the object.
 */

/** Free-form parameter sets (hvparams, beparams, ...). Missing keys are inherited. */
export type Params = { readonly [key: string]: string | number | boolean | null };

interface Item {
  readonly uuid: string;
  readonly serial_no: number;
  readonly ctime: number;
  readonly mtime: number;
}

export interface Tagged {
  /** Sorted, unique. */
  readonly tags: readonly string[];
}

/** Lease and fencing parameters (docs/ha.md). `L`, `K`, `W`, `G`, `H` of the document. */
export interface HaParams {
  readonly renew_ms: number;
  readonly lease_ms: number;
  readonly guard_slack_ms: number;
  /** Time that a keeper without a proven watchdog needs to kill, taken for W. */
  readonly kill_ms: number;
  readonly margin_ms: number;
  /** Clock-rate drift assumed at most, as a fraction. */
  readonly drift: number;
  /** What happens to the instances of a lost node: Ganeti's autorepair names. */
  readonly autorepair: 'off' | 'fix-storage' | 'migrate' | 'failover' | 'reinstall';
}

/**
 * What happens to a job that leaves the cluster so that some node's loss could no longer be made up for, where it could
 * before: nothing, its log says so, it is refused.
 */
export type Admission = 'off' | 'warn' | 'refuse';

/** Amounts of what an instance may have, with Ganeti's names; sizes in MiB. */
export interface InstanceSpec {
  readonly 'memory-size': number;
  readonly 'cpu-count': number;
  readonly 'disk-count': number;
  /** Of each disk. */
  readonly 'disk-size': number;
  readonly 'nic-count': number;
  readonly 'spindle-use': number;
}

export interface SpecRange {
  readonly min: InstanceSpec;
  readonly max: InstanceSpec;
}

/** What instances may be like, in Ganeti's wire form (docs/policies.md). */
export interface IPolicy {
  /** An instance has to fit one of them. */
  readonly minmax: readonly SpecRange[];
  /** What capacity is counted in. */
  readonly std: InstanceSpec;
  readonly 'disk-templates': readonly string[];
  /** Virtual CPUs for each CPU of a node. */
  readonly 'vcpu-ratio': number;
  readonly 'spindle-ratio': number;
  /** Memory that guests may be given for each MiB of a node's; 1: none is promised twice. Not Ganeti's. */
  readonly 'memory-ratio': number;
}

/** A group has no standard spec of its own. */
export type GroupIPolicy = Partial<Omit<IPolicy, 'std'>>;

export interface Cluster extends Item, Tagged {
  readonly cluster_name: string;
  /** '' when the cluster has no master IP. */
  readonly master_ip: string;
  readonly master_netdev: string;
  /** Prefix length. */
  readonly master_netmask: number;
  readonly use_external_mip_script: boolean;
  /** 2 (IPv4) or 10 (IPv6). */
  readonly primary_ip_family: 2 | 10;
  readonly mac_prefix: string;
  readonly enabled_hypervisors: readonly string[];
  readonly enabled_disk_templates: readonly string[];
  readonly hvparams: { readonly [hypervisor: string]: Params };
  readonly os_hvp: { readonly [os: string]: { readonly [hypervisor: string]: Params } };
  readonly beparams: Params;
  readonly nicparams: Params;
  readonly ndparams: Params;
  readonly diskparams: { readonly [template: string]: Params };
  /** Only what was set; `fillIPolicy` fills it. Absent in states of early versions. */
  readonly ipolicy?: Partial<IPolicy>;
  readonly osparams: { readonly [os: string]: Params };
  readonly candidate_pool_size: number;
  readonly max_running_jobs: number;
  readonly file_storage_dir: string;
  readonly shared_file_storage_dir: string;
  readonly ha: HaParams;
  /** See {@link Admission}. Absent: `warn`. */
  readonly admission?: Admission;
  /** How the cluster balances itself. Absent or null: it does not. */
  readonly balancing?: Balancing | null;
  /** Raised by `cluster recover` only. */
  readonly generation: number;
  /** Lowest feature level of code that may take part. */
  readonly feature_level: number;
}

/** Moves that the cluster makes by itself. Gains are differences of the score (docs/placement.md). */
export interface Balancing {
  readonly moves_per_hour: number;
  /** Nothing begins until all moves together would gain so much; once begun, it goes on as long as one gains `min_gain`. */
  readonly start_gain: number;
  readonly min_gain: number;
  /** What a move must gain beyond that for each GiB that it copies, and for each second that its instance stands still. */
  readonly gain_per_gib: number;
  readonly gain_per_down_s: number;
  /** Instances may be stopped and started elsewhere. */
  readonly allow_restart: boolean;
}

export interface NodeGroup extends Item, Tagged {
  readonly name: string;
  readonly alloc_policy: 'preferred' | 'last_resort' | 'unallocable';
  readonly ndparams: Params;
  readonly diskparams: { readonly [template: string]: Params };
  /** What differs from the cluster's. Absent in states of early versions. */
  readonly ipolicy?: GroupIPolicy;
}

export type NodeHealth = 'member' | 'lost' | 'fenced' | 'returning';

export interface Node extends Item, Tagged {
  readonly name: string;
  /** The member number in the Raft group; never used again. */
  readonly member: number;
  readonly peer_id: string;
  /** The life of its agent that asked to join, and had begun as no member: it may ask again. Absent for the founder. */
  readonly joined_in?: string;
  /** Multiaddrs where the mesh reaches it. */
  readonly addresses: readonly string[];
  readonly primary_ip: string;
  readonly secondary_ip: string;
  /** uuid of its node group. */
  readonly group: string;
  readonly offline: boolean;
  readonly drained: boolean;
  readonly master_candidate: boolean;
  readonly master_capable: boolean;
  readonly vm_capable: boolean;
  readonly ndparams: Params;
  /** The highest boot number this node was seen with; ownership is good for one boot. */
  readonly boot: number;
  readonly health: NodeHealth;
  readonly health_since: number;
  readonly health_reason: string;
}

/** Who may run an instance. Every change raises `epoch` and is conditional on the old one. */
export interface Owner {
  /** uuid of the node. */
  readonly node: string;
  readonly boot: number;
  readonly epoch: number;
}

/** Why it was permitted to start an instance elsewhere (docs/ha.md, "Evidence"). */
export interface Evidence {
  readonly kind: 'create' | 'stopped' | 'boot' | 'power' | 'released' | 'word' | 'horizon';
  readonly text: string;
}

export interface OwnerChange extends Owner {
  readonly time: number;
  readonly evidence: Evidence;
  readonly from: Owner | null;
}

export interface Nic {
  readonly uuid: string;
  readonly name: string | null;
  readonly mac: string;
  readonly ip: string | null;
  readonly network: string | null;
  /** Only what the NIC itself sets of mode, link, vlan. */
  readonly nicparams: Params;
}

export type AdminState = 'up' | 'down' | 'offline';

export interface Instance extends Item, Tagged {
  readonly name: string;
  /** uuid of the node that owns it (always equal to `owner.node`). */
  readonly primary_node: string;
  /** `name` or `name+variant`; '' for none. */
  readonly os: string;
  readonly hypervisor: string;
  readonly hvparams: Params;
  readonly beparams: Params;
  readonly osparams: Params;
  readonly admin_state: AdminState;
  readonly admin_state_source: 'admin' | 'user';
  readonly disk_template: string;
  /** uuids in order. */
  readonly disks: readonly string[];
  readonly nics: readonly Nic[];
  readonly owner: Owner;
  /**
   * The owner's keeper ends the guest by itself once its lease has run out: only then may silence alone have it started
   * elsewhere. Decided with each epoch, as the keeper learns it when the guest is started.
   */
  readonly guarded: boolean;
  /** The last eight changes of owner, newest last. */
  readonly owner_log: readonly OwnerChange[];
}

export interface Disk extends Item {
  readonly name: string | null;
  readonly dev_type: 'file' | 'sharedfile' | 'diskless' | string;
  /** MiB. */
  readonly size: number;
  readonly mode: 'rw' | 'ro';
  /** file and sharedfile: [driver, absolute path]. */
  readonly logical_id: readonly (string | number)[];
  readonly iv_name: string;
  readonly instance: string;
}

export type OpStatus = 'queued' | 'waiting' | 'canceling' | 'running' | 'canceled' | 'success' | 'error';

/** An opcode's parameters as submitted: `OP_ID` names it (Ganeti's wire form). */
export interface OpInput {
  readonly OP_ID: string;
  readonly [key: string]: unknown;
}

/** [serial, [seconds, microseconds], type, text]: Ganeti's op log line. */
export type OpLogLine = readonly [number, readonly [number, number], string, unknown];

export interface JobOp {
  readonly input: OpInput;
  /** Version of the opcode's code that began it; a replay by another version is refused. 0 until begun. */
  readonly version: number;
  readonly status: OpStatus;
  readonly result: unknown;
  /** At most 1,000 lines; the oldest go first. */
  readonly log: readonly OpLogLine[];
  readonly priority: number;
  readonly start_timestamp: number | null;
  readonly exec_timestamp: number | null;
  readonly end_timestamp: number | null;
}

export interface LockRequest {
  /** `cluster`, `group/UUID`, `node/UUID`, `instance/NAME`, `network/UUID`; NAME may not exist yet. */
  readonly name: string;
  readonly exclusive: boolean;
}

export interface Job {
  readonly id: number;
  readonly request_id: string;
  readonly ops: readonly JobOp[];
  readonly status: OpStatus;
  /** Jobs that must have ended in one of the named states ([] = any final state). */
  readonly depends: readonly { readonly job: number; readonly states: readonly OpStatus[] }[];
  /** What it holds while it runs; a new leader takes these again before anything else is granted. */
  readonly locks: readonly LockRequest[];
  readonly cancel_requested: boolean;
  /** Why it waits, or will at its next place to wait, until somebody lets it go on. Absent: it does not. */
  readonly hold?: string;
  readonly received_timestamp: number;
  readonly start_timestamp: number | null;
  readonly end_timestamp: number | null;
  readonly reason: readonly (readonly [string, string, number])[];
}

/** One recorded step of a running job; removed when the job has ended. Key: `JOB/OP/STEP`, each padded so that keys sort. */
export interface Step {
  readonly job: number;
  readonly op: number;
  readonly step: number;
  readonly name: string;
  /** uuid of the node that acts; '' for the leader itself. */
  readonly node: string;
  readonly verb: string;
  /** Hash of verb and arguments: a replay that asks for something else stops loudly. */
  readonly args_hash: string;
  readonly args: unknown;
  /** What to call on the same node if the job is undone; null: nothing to undo. */
  readonly undo: { readonly verb: string; readonly args: unknown } | null;
  readonly status: 'open' | 'done' | 'failed' | 'node-lost' | 'undone';
  readonly result: unknown;
}

/** A one-time permission to join. Only the secret's SHA-256 is here. */
export interface JoinToken {
  readonly id: string;
  readonly secret_hash: string;
  readonly expires: number;
  /** '' until used; then the peer that it is bound to, so that this peer's retry works and no other's. */
  readonly used_by: string;
  readonly group: string;
  readonly master_capable: boolean;
  readonly vm_capable: boolean;
}

/** The last `cluster recover`: what it began, and whom it has not heard since. */
export interface Recovery {
  readonly generation: number;
  readonly time: number;
  /** uuid of the node that was recovered; the others are of the generation once they were seen in it. */
  readonly node: string;
  /** uuids; `word`: an operator says that it is off. */
  readonly unseen: readonly { readonly node: string; readonly word: boolean }[];
}

export interface Meta {
  readonly next_member: number;
  readonly next_job: number;
  /** Absent in a cluster that was never recovered. */
  readonly recovery?: Recovery;
}

/** Request ids already accepted, so that no retry makes a job twice. Bounded: the oldest 10,000 are kept. */
export interface AcceptedRequest {
  readonly request_id: string;
  readonly jobs: readonly number[];
  readonly index: number;
}

export interface Tables {
  cluster: Cluster;
  groups: NodeGroup;
  nodes: Node;
  instances: Instance;
  disks: Disk;
  jobs: Job;
  steps: Step;
  tokens: JoinToken;
  requests: AcceptedRequest;
  meta: Meta;
}
export type TableName = keyof Tables;
