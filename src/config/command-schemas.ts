/**
 * The shape of every command. `checkCommand` is the one gate through which a command enters the state: what passes it
 * has the type that it claims.
 */
import * as z from 'zod';
import type { Command } from './commands.ts';
import { limits } from './limits.ts';
import * as is from './object-schemas.ts';
import { refuse, shown } from './refused.ts';

const at = { time: is.time };
const maybe = z.exactOptional;

function optional<T extends Record<string, z.ZodType>>(
  fields: T,
): { [K in keyof T]: z.ZodExactOptional<T[K]> } {
  const result: Partial<Record<keyof T, z.ZodType>> = {};
  for (const key of Object.keys(fields) as (keyof T)[]) result[key] = maybe(fields[key]!);
  return result as { [K in keyof T]: z.ZodExactOptional<T[K]> };
}

/** Looked into one by one when they are applied, each with an error of its own. */
const innerCommands = z
  .array(z.custom<Command>((value) => typeof value === 'object' && value !== null))
  .max(limits.commands_per_batch);

const dependency = z.strictObject({ job: z.int(), states: z.array(is.opStatus).max(7) });
const reasonLine = z.tuple([is.text, is.text, z.number()]);
const secretHash = z.string().regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 in 64 lower-case hex digits');
const ifEpoch = z.nullable(is.ordinal);
const opAt = {
  job: is.jobId,
  op: z
    .int()
    .min(0)
    .max(limits.ops_per_job - 1),
};

const schemas: { readonly [T in Command['type']]: z.ZodType<Extract<Command, { type: T }>> } = {
  'cluster-init': z.strictObject({
    type: z.literal('cluster-init'),
    ...at,
    cluster: is.cluster,
    group: is.nodeGroup,
    node: is.node,
  }),
  'cluster-set': z.strictObject({
    type: z.literal('cluster-set'),
    ...at,
    changes: z.strictObject({
      ...optional(is.cluster_fields),
      ...is.cluster_extras,
      ha: maybe(z.strictObject(optional(is.ha_fields))),
      admission: maybe(is.admission),
      balancing: maybe(z.nullable(is.balancing)),
    }),
  }),
  'cluster-destroy': z.strictObject({ type: z.literal('cluster-destroy'), ...at }),
  'group-set': z.strictObject({
    type: z.literal('group-set'),
    ...at,
    uuid: is.id,
    changes: z.strictObject({ alloc_policy: maybe(is.allocPolicy), ipolicy: maybe(is.groupIPolicy) }),
  }),
  'cluster-recover': z.strictObject({
    type: z.literal('cluster-recover'),
    ...at,
    generation: is.count,
    node: is.id,
    words: z.array(is.id).max(1_000),
  }),
  'node-seen': z.strictObject({ type: z.literal('node-seen'), ...at, uuid: is.id }),
  'node-word': z.strictObject({ type: z.literal('node-word'), ...at, uuid: is.id }),
  'token-add': z.strictObject({
    type: z.literal('token-add'),
    ...at,
    id: is.id,
    secret_hash: secretHash,
    expires: is.time,
    group: is.id,
    master_capable: z.boolean(),
    vm_capable: z.boolean(),
  }),
  'token-revoke': z.strictObject({ type: z.literal('token-revoke'), ...at, id: is.id }),
  'node-join': z.strictObject({
    type: z.literal('node-join'),
    ...at,
    token: is.id,
    secret_hash: secretHash,
    peer_id: is.id,
    uuid: is.id,
    name: is.hostName,
    addresses: is.addresses,
    primary_ip: is.ip,
    boot: is.count,
    life: maybe(is.id),
  }),
  'node-set': z.strictObject({
    type: z.literal('node-set'),
    ...at,
    uuid: is.id,
    changes: z.strictObject({
      offline: maybe(z.boolean()),
      drained: maybe(z.boolean()),
      master_candidate: maybe(z.boolean()),
      master_capable: maybe(z.boolean()),
      vm_capable: maybe(z.boolean()),
      ndparams: maybe(is.params),
      secondary_ip: maybe(is.ip),
      primary_ip: maybe(is.ip),
      addresses: maybe(is.addresses),
      group: maybe(is.id),
    }),
  }),
  'node-remove': z.strictObject({ type: z.literal('node-remove'), ...at, uuid: is.id }),
  'node-boot': z.strictObject({ type: z.literal('node-boot'), ...at, uuid: is.id, boot: is.count }),
  'node-renew': z.strictObject({
    type: z.literal('node-renew'),
    ...at,
    uuid: is.id,
    if_member: is.count,
  }),
  'node-health': z.strictObject({
    type: z.literal('node-health'),
    ...at,
    uuid: is.id,
    health: is.nodeHealth,
    reason: is.text,
    if_boot: is.count,
  }),
  'instance-add': z.strictObject({
    type: z.literal('instance-add'),
    ...at,
    instance: is.newInstance,
    disks: z.array(is.newDisk).max(limits.disks_per_instance),
    boot: is.count,
  }),
  'instance-set': z.strictObject({
    type: z.literal('instance-set'),
    ...at,
    uuid: is.id,
    if_epoch: ifEpoch,
    changes: z.strictObject({
      admin_state: maybe(is.adminState),
      admin_state_source: maybe(is.adminStateSource),
      beparams: maybe(is.params),
      hvparams: maybe(is.params),
      osparams: maybe(is.params),
      os: maybe(is.text),
    }),
  }),
  'instance-owner': z.strictObject({
    type: z.literal('instance-owner'),
    ...at,
    uuid: is.id,
    if_epoch: is.ordinal,
    node: is.id,
    boot: is.count,
    evidence: is.evidence,
  }),
  'instance-remove': z.strictObject({
    type: z.literal('instance-remove'),
    ...at,
    uuid: is.id,
    if_epoch: ifEpoch,
  }),
  tags: z.strictObject({
    type: z.literal('tags'),
    ...at,
    kind: z.enum(['cluster', 'nodegroup', 'node', 'instance']),
    uuid: z.union([z.literal(''), is.id]),
    add: is.tags,
    remove: is.tags,
  }),
  'job-submit': z.strictObject({
    type: z.literal('job-submit'),
    ...at,
    request_id: is.id,
    jobs: z
      .array(
        z.strictObject({
          ops: z.array(is.opInput).min(1).max(limits.ops_per_job),
          priority: is.priority,
          depends: z.array(dependency).max(limits.depends_per_job),
          reason: z.array(reasonLine).max(100),
        }),
      )
      .min(1)
      .max(limits.jobs_per_submit),
  }),
  'job-start': z.strictObject({
    type: z.literal('job-start'),
    ...at,
    job: is.jobId,
    locks: z.array(is.lockRequest).max(limits.locks_per_job),
  }),
  'job-cancel': z.strictObject({ type: z.literal('job-cancel'), ...at, job: is.jobId }),
  'job-priority': z.strictObject({
    type: z.literal('job-priority'),
    ...at,
    job: is.jobId,
    priority: is.priority,
  }),
  'job-hold': z.strictObject({
    type: z.literal('job-hold'),
    ...at,
    job: is.jobId,
    why: z.nullable(is.text),
  }),
  'op-start': z.strictObject({ type: z.literal('op-start'), ...at, ...opAt, version: is.ordinal }),
  'op-log': z.strictObject({ type: z.literal('op-log'), ...at, ...opAt, kind: is.name, text: is.anything }),
  'op-end': z.strictObject({
    type: z.literal('op-end'),
    ...at,
    ...opAt,
    status: z.enum(['success', 'error', 'canceled']),
    result: is.anything,
  }),
  'job-end': z.strictObject({
    type: z.literal('job-end'),
    ...at,
    job: is.jobId,
    status: z.enum(['success', 'error', 'canceled']),
  }),
  'job-archive': z.strictObject({
    type: z.literal('job-archive'),
    ...at,
    jobs: z.array(is.jobId).max(limits.finished_jobs + limits.pending_jobs),
  }),
  'step-begin': z.strictObject({ type: z.literal('step-begin'), ...at, step: is.newStep }),
  'step-end': z.strictObject({
    type: z.literal('step-end'),
    ...at,
    ...opAt,
    step: z
      .int()
      .min(0)
      .max(limits.steps_per_op - 1),
    begin: z.nullable(is.newStep),
    status: z.enum(['done', 'failed', 'node-lost', 'undone']),
    result: is.anything,
    commands: innerCommands,
  }),
  batch: z.strictObject({ type: z.literal('batch'), ...at, commands: innerCommands }),
};

/** Throws `Refused` ('invalid') naming the field, its value and what was expected. */
export function checkCommand(value: unknown): Command {
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  if (typeof type !== 'string' || !Object.hasOwn(schemas, type)) {
    return refuse(
      'invalid',
      `unknown command ${shown(type)}: expected one of ${Object.keys(schemas).join(', ')}`,
    );
  }
  checkShape(schemas[type as Command['type']], value, type);
  return value as Command;
}

/** Checks `value` against a schema that changes nothing in it. */
export function checkShape(schema: z.ZodType, value: unknown, what: string): void {
  const outcome = schema.safeParse(value, { reportInput: true });
  if (outcome.success) return;
  const issue = outcome.error.issues[0]!;
  const path = [what, ...issue.path.map(String)].join('.');
  const got =
    issue.code === 'custom' || issue.code === 'unrecognized_keys' ? '' : ` (got ${shown(issue.input)})`;
  refuse('invalid', `${path}: ${issue.message}${got}`);
}
