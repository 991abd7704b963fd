/**
 * The shape of every object in the state, as zod schemas: the cheap second look that a command gets when it is applied.
 * Strict: an unknown field is refused, because a replica that knows it and one that does not would part ways.
 */
import * as z from 'zod';
import { checkIPolicyParts } from './ipolicy.ts';
import { limits } from './limits.ts';
import type {
  Balancing,
  Cluster,
  Disk,
  Evidence,
  GroupIPolicy,
  HaParams,
  IPolicy,
  LockRequest,
  Nic,
  Node,
  NodeGroup,
  OpInput,
  OpStatus,
  Owner,
  Params,
  Step,
} from './model.ts';
import {
  checkDirectory,
  checkHostName,
  checkId,
  checkIp,
  checkMac,
  checkMacPrefix,
  checkTag,
  type Verdict,
} from './validate.ts';

function checked(check: (text: string) => Verdict): z.ZodString {
  return z.string().check((context) => {
    const wrong = check(context.value);
    if (wrong !== null) context.issues.push({ code: 'custom', message: wrong, input: context.value });
  });
}

export const hostName = checked(checkHostName);
export const id = checked(checkId);
export const tag = checked(checkTag);
export const ip = checked(checkIp);
export const text = z.string().max(limits.text_chars);
export const name = z.string().min(1).max(limits.name_chars);
/** Seconds since 1970. */
export const time = z.number().min(0).max(1e11);
export const count = z.int().min(0);
export const ordinal = z.int().min(1);
/** Job ids fit their keys. */
export const jobId = z.int().min(1).max(999_999_999_999);
export const tags = z.array(tag).max(limits.tags_per_object);
export const priority = z.int().min(-20).max(19);

const shortKey = z.string().min(1).max(limits.id_chars);
export const params: z.ZodType<Params> = z
  .record(shortKey, z.union([text, z.number(), z.boolean(), z.null()]))
  .refine((value) => Object.keys(value).length <= limits.params, {
    message: `expected ${limits.params} parameters at most`,
  });
const paramsByName = z.record(shortKey, params);

const item = { uuid: id, serial_no: count, ctime: time, mtime: time };

const ms = z.int().min(1).max(86_400_000);
export const ha_fields = {
  renew_ms: ms,
  lease_ms: ms,
  guard_slack_ms: ms,
  kill_ms: ms,
  margin_ms: z.int().min(0).max(86_400_000),
  drift: z.number().min(0).max(0.1),
  autorepair: z.enum(['off', 'fix-storage', 'migrate', 'failover', 'reinstall']),
};

/** A lease must outlast a few lost renewals, or one dropped packet pauses guests. */
export const haParams: z.ZodType<HaParams> = z
  .strictObject(ha_fields)
  .refine((ha) => ha.lease_ms >= 3 * ha.renew_ms, {
    message: 'lease_ms must be at least three times renew_ms',
  });

/** What is in it; whether it fits together is for the command that has the other half of it to say. */
function ipolicyParts<T>(of: 'cluster' | 'group'): z.ZodType<T> {
  return z.custom<T>().check((context) => {
    const wrong = checkIPolicyParts(context.value, of);
    if (wrong !== null) context.issues.push({ code: 'custom', message: wrong, input: context.value });
  });
}

const clusterIPolicy = ipolicyParts<Partial<IPolicy>>('cluster');
export const groupIPolicy = ipolicyParts<GroupIPolicy>('group');
export const allocPolicy = z.enum(['preferred', 'last_resort', 'unallocable']);

export const cluster_fields = {
  cluster_name: hostName,
  master_ip: z.union([z.literal(''), ip]),
  master_netdev: z.string().max(64),
  master_netmask: z.int().min(0).max(128),
  use_external_mip_script: z.boolean(),
  primary_ip_family: z.literal([2, 10]),
  mac_prefix: checked(checkMacPrefix),
  enabled_hypervisors: z.array(name).min(1).max(16),
  enabled_disk_templates: z.array(name).min(1).max(16),
  hvparams: paramsByName,
  os_hvp: z.record(shortKey, paramsByName),
  beparams: params,
  nicparams: params,
  ndparams: params,
  diskparams: paramsByName,
  osparams: paramsByName,
  candidate_pool_size: z.int().min(1).max(1_000),
  max_running_jobs: z.int().min(1).max(1_000),
  file_storage_dir: checked(checkDirectory),
  shared_file_storage_dir: checked(checkDirectory),
  generation: count,
  feature_level: count,
};

export const admission = z.enum(['off', 'warn', 'refuse']);
const gain = z.number().min(0).max(1_000);
export const balancing: z.ZodType<Balancing> = z
  .strictObject({
    moves_per_hour: z.int().min(1).max(60),
    start_gain: gain,
    min_gain: gain,
    gain_per_gib: gain,
    gain_per_down_s: gain,
    allow_restart: z.boolean(),
  })
  .refine((given) => given.start_gain >= given.min_gain, {
    message: 'start_gain is less than min_gain: expected at least as much',
  });
export const cluster_extras = { ipolicy: z.exactOptional(clusterIPolicy) };

export const cluster: z.ZodType<Cluster> = z.strictObject({
  ...item,
  tags,
  ...cluster_fields,
  ...cluster_extras,
  ha: haParams,
  admission: z.exactOptional(admission),
  balancing: z.exactOptional(z.nullable(balancing)),
});

export const nodeGroup: z.ZodType<NodeGroup> = z.strictObject({
  ...item,
  tags,
  name,
  alloc_policy: allocPolicy,
  ndparams: params,
  diskparams: paramsByName,
  ipolicy: z.exactOptional(groupIPolicy),
});

export const addresses = z.array(z.string().min(1).max(512)).max(32);
export const nodeHealth = z.enum(['member', 'lost', 'fenced', 'returning']);

export const node: z.ZodType<Node> = z.strictObject({
  ...item,
  tags,
  name: hostName,
  member: ordinal,
  peer_id: id,
  joined_in: z.exactOptional(id),
  addresses,
  primary_ip: ip,
  secondary_ip: ip,
  group: id,
  offline: z.boolean(),
  drained: z.boolean(),
  master_candidate: z.boolean(),
  master_capable: z.boolean(),
  vm_capable: z.boolean(),
  ndparams: params,
  boot: count,
  health: nodeHealth,
  health_since: time,
  health_reason: text,
});

export const owner: z.ZodType<Owner> = z.strictObject({ node: id, boot: count, epoch: ordinal });

export const evidence: z.ZodType<Evidence> = z.strictObject({
  kind: z.enum(['create', 'stopped', 'boot', 'power', 'released', 'word', 'horizon']),
  text,
});

const nic: z.ZodType<Nic> = z.strictObject({
  uuid: id,
  name: z.nullable(name),
  mac: checked(checkMac),
  ip: z.nullable(ip),
  network: z.nullable(name),
  nicparams: params,
});

export const adminState = z.enum(['up', 'down', 'offline']);
export const adminStateSource = z.enum(['admin', 'user']);

/** An instance as `instance-add` carries it. */
export const newInstance = z.strictObject({
  uuid: id,
  tags,
  name: hostName,
  primary_node: id,
  os: text,
  hypervisor: name,
  hvparams: params,
  beparams: params,
  osparams: params,
  admin_state: adminState,
  admin_state_source: adminStateSource,
  disk_template: name,
  disks: z.array(id).max(limits.disks_per_instance),
  nics: z.array(nic).max(limits.nics_per_instance),
});

/** A disk as `instance-add` carries it. */
export const newDisk: z.ZodType<Omit<Disk, 'serial_no' | 'ctime' | 'mtime'>> = z.strictObject({
  uuid: id,
  name: z.nullable(name),
  dev_type: name,
  size: z.int().min(1).max(limits.disk_mib),
  mode: z.enum(['rw', 'ro']),
  logical_id: z.array(z.union([text, z.number()])).max(16),
  iv_name: name,
  instance: id,
});

export const opStatus: z.ZodType<OpStatus> = z.enum([
  'queued',
  'waiting',
  'canceling',
  'running',
  'canceled',
  'success',
  'error',
]);

/** An opcode's own parameters are its own business. */
export const opInput: z.ZodType<OpInput> = z.looseObject({
  OP_ID: z.string().regex(/^OP_[A-Z0-9_]{1,60}$/, 'expected an opcode like OP_INSTANCE_CREATE'),
});

export const lockRequest: z.ZodType<LockRequest> = z.strictObject({
  name: z.string().min(1).max(300),
  exclusive: z.boolean(),
});

/** Plain data of any shape: `plainData` has looked at it already. It may be absent; who stores it writes null then. */
export const anything = z.unknown().default(null);

export const newStep: z.ZodType<Omit<Step, 'status' | 'result'>> = z.strictObject({
  job: jobId,
  op: z
    .int()
    .min(0)
    .max(limits.ops_per_job - 1),
  step: z
    .int()
    .min(0)
    .max(limits.steps_per_op - 1),
  name: z.string().min(1).max(limits.text_chars),
  node: z.union([z.literal(''), id]),
  verb: z.string().max(limits.id_chars),
  args_hash: z.string().max(limits.id_chars),
  args: anything,
  undo: z.nullable(z.strictObject({ verb: z.string().min(1).max(limits.id_chars), args: anything })),
});
