/**
 * What the local API's methods mean on a host that is a member of a cluster. Reads are linearizable: the leader
 * confirms an index by a quorum round begun after the request, and the answer comes from this host's own replica once
 * it has applied it.
 */
import { z } from 'zod';
import type { Command } from '../config/commands.ts';
import { jobKey } from '../config/keys.ts';
import type { Instance, Job, Node } from '../config/model.ts';
import { checkId } from '../config/validate.ts';
import { maintenance_id } from '../ops/opcodes/maintenance-run.ts';
import { type ApiContext, ApiFailure, type ApiHandler } from './api-server.ts';
import type { ApiMethods, JobEvent, RaftStatus } from './api-types.ts';
import { checkLocalConsole, openLocalConsole } from './console.ts';
import { endWithCluster, isDestroyed } from './destroyed.ts';
import { hypervisorOf } from './drivers.ts';
import { whyLines } from './instance-why.ts';
import { createJoinToken, join_secret_bytes } from './join-token.ts';
import type { Member } from './member.ts';
import type { ByteStream } from './mesh-types.ts';
import { needsLive, queryRows } from './query.ts';
import { reportMethods } from './report-methods.ts';

const read_timeout_ms = 10_000;
const submit_timeout_ms = 30_000;
/** Watchers of progress ask a new leader again after this. */
const progress_retry_ms = 500;

function parse<T>(schema: z.ZodType<T>, method: string, params: unknown): T {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  throw new ApiFailure('invalid', `${method}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
}

const resources = ['cluster', 'group', 'node', 'instance', 'job', 'os', 'disk', 'tag', 'lock'] as const;
const query_schema = z.object({
  resource: z.enum(resources),
  names: z.array(z.string()).max(10_000).optional(),
  fields: z.array(z.string()).max(1_000).optional(),
  stale: z.boolean().optional(),
});
const op_status = z.enum(['queued', 'waiting', 'canceling', 'running', 'canceled', 'success', 'error']);
const reason_schema = z.array(z.tuple([z.string().max(256), z.string().max(4096), z.number()])).max(64);
const request_id = z
  .string()
  .min(8)
  .superRefine((text, context) => {
    const wrong = checkId(text);
    if (wrong !== null) context.addIssue(wrong);
  });
const submit_schema = z.object({
  request_id,
  jobs: z
    .array(
      z.object({
        ops: z
          .array(z.looseObject({ OP_ID: z.string().regex(/^OP_[A-Z_]+$/) }))
          .min(1)
          .max(100),
        priority: z.number().int().min(-20).max(19).optional(),
        depends: z
          .array(z.object({ job: z.number().int(), states: z.array(op_status) }))
          .max(1000)
          .optional(),
        reason: reason_schema.optional(),
      }),
    )
    .min(1)
    .max(1000),
});
const job_schema = z.object({ job: z.number().int().positive() });

/** null: a live read index. Otherwise how old the local state may be. */
async function read(member: Member, stale: boolean, with_live = false): Promise<{ stale_ms: number | null }> {
  if (stale) return { stale_ms: Math.round(member.env.now_ms() - member.appliedAt()) };
  await member.readBarrier(read_timeout_ms, with_live);
  return { stale_ms: null };
}

function jobOf(member: Member, id: number): Job {
  const job = member.state.get('jobs', jobKey(id));
  if (job) return job;
  if (isDestroyed(member.state)) throw clusterGone(member);
  throw new ApiFailure('not-found', `job ${id} does not exist`, 'skein job list');
}

const clusterGone = (member: Member): ApiFailure =>
  new ApiFailure('no-cluster', `cluster ${member.file.cluster_name} was destroyed`, 'skein status');

export function memberMethods(member: Member): Map<string, ApiHandler> {
  const { state, leader, env } = member;
  const methods = new Map<string, ApiHandler>();
  const on = <M extends keyof ApiMethods>(
    name: M,
    handler: (params: Record<string, unknown>, ctx: ApiContext) => Promise<ApiMethods[M]['result']>,
  ) => methods.set(name, handler);
  for (const [name, handler] of reportMethods(member)) methods.set(name, handler);
  const propose = async (command: Command) =>
    (await leader.call('lead.propose', { command }, { timeout_ms: submit_timeout_ms, repeat: false })) as {
      index: number;
      value: unknown;
    };

  on('query', async (params) => {
    const { resource, names, fields, stale } = parse(query_schema, 'query', params);
    const { stale_ms } = await read(member, stale === true, needsLive(resource));
    const status = member.replica.status();
    const world = {
      state,
      live: member.liveNodes(),
      lags: member.lags(),
      leader: status.leader,
      voters: status.configuration.voters,
      wall_s: env.wall_s(),
    };
    const { rows, missing } = queryRows(world, resource, names ?? [], fields ?? null);
    if (missing.length > 0) {
      throw new ApiFailure(
        'not-found',
        `${resource} ${missing.map((name) => JSON.stringify(name)).join(', ')} does not exist`,
        `skein ${resource} list`,
      );
    }
    return { rows, stale_ms, index: state.index };
  });

  on('submit', async (params) => {
    const { request_id, jobs } = parse(submit_schema, 'submit', params);
    const known = new Set(member.opcodeNames);
    for (const op of jobs.flatMap((job) => job.ops)) {
      if (!known.has(op.OP_ID))
        throw new ApiFailure('invalid', `opcode ${op.OP_ID} is not known; known: ${[...known].join(', ')}`);
    }
    const full = jobs.map((job) => ({
      ops: job.ops,
      priority: job.priority ?? 0,
      depends: job.depends ?? [],
      reason: job.reason ?? [],
    }));
    // The request id makes this safe to repeat across leaders.
    const ids = (await leader.call(
      'lead.submit',
      { request_id, jobs: full },
      { timeout_ms: submit_timeout_ms, repeat: true },
    )) as number[];
    return { jobs: ids };
  });

  on('job.watch', async (params, ctx) => {
    const { job: id } = parse(job_schema, 'job.watch', params);
    await read(member, false);
    return watchJob(member, id, (event) => ctx.event(event), ctx.signal);
  });

  on('job.cancel', async (params) => {
    const { job } = parse(job_schema, 'job.cancel', params);
    await read(member, false);
    const before = jobOf(member, job);
    if (before.end_timestamp !== null)
      return { canceled: false, message: `job ${job} has ended already (${before.status})` };
    await propose({ type: 'job-cancel', time: env.wall_s(), job });
    return {
      canceled: true,
      message: before.status === 'running' ? `job ${job} is being canceled` : `job ${job} is canceled`,
    };
  });

  on('job.priority', async (params) => {
    const { job, priority } = parse(
      job_schema.extend({ priority: z.number().int().min(-20).max(19) }),
      'job.priority',
      params,
    );
    await read(member, false);
    jobOf(member, job);
    await propose({ type: 'job-priority', time: env.wall_s(), job, priority });
    return null;
  });

  on('job.hold', async (params) => {
    const { job, why } = parse(
      job_schema.extend({ why: z.string().min(1).max(1_000).nullable() }),
      'job.hold',
      params,
    );
    await read(member, false);
    if (!jobOf(member, job).ops.some(({ input }) => input.OP_ID === maintenance_id))
      throw new ApiFailure('invalid', `job ${job} is no maintenance: others do not wait`, 'skein job list');
    await propose({ type: 'job-hold', time: env.wall_s(), job, why });
    return null;
  });

  on('job.archive', async (params) => {
    const { jobs } = parse(
      z.object({ jobs: z.array(z.number().int().positive()).min(1).max(10_000) }),
      'job.archive',
      params,
    );
    await read(member, false);
    for (const job of jobs) jobOf(member, job);
    await propose({ type: 'job-archive', time: env.wall_s(), jobs });
    return { archived: jobs.length };
  });

  on('job.why', async (params) => {
    const { job } = parse(job_schema, 'job.why', params);
    await read(member, false);
    jobOf(member, job);
    return (await leader.call('lead.why', { job }, { timeout_ms: read_timeout_ms, repeat: true })) as {
      why: string | null;
    };
  });

  on('token.create', async (params) => {
    const wanted = parse(
      z.object({
        expires_s: z
          .number()
          .int()
          .min(10)
          .max(30 * 86_400),
        group: z.string().optional(),
        master_capable: z.boolean(),
        vm_capable: z.boolean(),
      }),
      'token.create',
      params,
    );
    await read(member, false);
    const cluster = state.get('cluster', 'cluster');
    const group = state
      .list('groups')
      .find(
        (candidate) =>
          wanted.group === undefined || candidate.name === wanted.group || candidate.uuid === wanted.group,
      );
    if (!cluster || !group)
      throw new ApiFailure('not-found', `node group ${JSON.stringify(wanted.group)} does not exist`);
    const now_s = env.wall_s();
    const id = env.uuid();
    const expires = now_s + wanted.expires_s;
    const { text, secret_hash } = createJoinToken({
      id,
      secret: env.secret(join_secret_bytes),
      cluster_name: cluster.cluster_name,
      peers: state
        .list('nodes')
        .filter((node) => node.health === 'member' && !node.offline)
        .slice(0, 5)
        .map((node) => ({ peer_id: node.peer_id, addresses: node.addresses })),
      expires: Math.floor(expires * 1000),
    });
    await propose({
      type: 'token-add',
      time: now_s,
      id,
      secret_hash,
      expires,
      group: group.uuid,
      master_capable: wanted.master_capable,
      vm_capable: wanted.vm_capable,
    });
    return { token: text, id, expires };
  });

  on('token.revoke', async (params) => {
    const { id } = parse(z.object({ id: z.string().min(1).max(64) }), 'token.revoke', params);
    await propose({ type: 'token-revoke', time: env.wall_s(), id });
    return null;
  });

  on('events', (params, ctx) => {
    const { since } = parse(z.object({ since: z.number().int().nonnegative().optional() }), 'events', params);
    return new Promise((resolve) => {
      const stop = member.events.follow(since ?? 0, (event) => ctx.event(event));
      ctx.signal.addEventListener('abort', () => {
        stop();
        resolve(null);
      });
    });
  });

  on('instance.console', async (params, ctx) => {
    const { instance: name, attach } = parse(
      z.object({ instance: z.string().min(1), attach: z.boolean() }),
      'instance.console',
      params,
    );
    await read(member, false);
    const instance = state
      .list('instances')
      .find((candidate) => candidate.name === name || candidate.uuid === name);
    if (!instance)
      throw new ApiFailure('not-found', `instance "${name}" does not exist`, 'skein instance list');
    const node = state.get('nodes', instance.owner.node);
    if (!node) throw new ApiFailure('internal', `instance ${instance.name} belongs to no known node`);
    if (attach) {
      try {
        ctx.upgrade(await openConsole(member, instance, node.member));
      } catch (error) {
        const next = instance.admin_state === 'up' ? 'info' : 'startup';
        throw new ApiFailure(
          'unavailable',
          `no console of ${instance.name} on ${node.name}: ${(error as Error).message}`,
          `skein instance ${next} ${instance.name}`,
        );
      }
    }
    return { node: node.name, kind: 'serial', message: `serial console of ${instance.name} on ${node.name}` };
  });

  on('instance.why', async (params) => {
    const { instance: name } = parse(z.object({ instance: z.string().min(1) }), 'instance.why', params);
    await read(member, false);
    const instance = state
      .list('instances')
      .find((candidate) => candidate.name === name || candidate.uuid === name);
    if (!instance)
      throw new ApiFailure('not-found', `instance "${name}" does not exist`, 'skein instance list');
    const nodeName = (uuid: string | undefined) =>
      uuid === undefined ? '' : (state.get('nodes', uuid)?.name ?? uuid);
    const log = instance.owner_log.map((change) => ({
      time: change.time,
      epoch: change.epoch,
      from: nodeName(change.from?.node),
      to: nodeName(change.node),
      evidence: change.evidence,
    }));
    return { lines: whyLines(state, instance, env.wall_s()), log };
  });

  on(
    'raft.status',
    () =>
      leader.call('lead.standings', {}, { timeout_ms: read_timeout_ms, repeat: true }) as Promise<RaftStatus>,
  );

  on('raft.transfer', async (params) => {
    const { to } = parse(z.object({ to: z.string().optional() }), 'raft.transfer', params);
    await read(member, false);
    const node =
      to === undefined
        ? undefined
        : state.list('nodes').find((candidate) => candidate.name === to || candidate.uuid === to);
    if (to !== undefined && !node)
      throw new ApiFailure('not-found', `node "${to}" does not exist`, 'skein node list');
    if (node) refuseHeir(member, node);
    await leader.call(
      'lead.transfer',
      { to: node?.member ?? null },
      { timeout_ms: read_timeout_ms, repeat: false },
    );
    return null;
  });

  if (member.options.test_hooks) {
    on('test.propose', async (params) => (await propose((params as { command: Command }).command)).value);
  }
  const { crash } = member;
  if (crash) {
    on('test.crash', async (params) => {
      const seen = crash.seen();
      crash.arm(
        parse(
          z.object({
            job: z.number().int().positive(),
            entry: z.number().int().nonnegative().nullable(),
            moment: z.enum(['before', 'during', 'after']),
          }),
          'test.crash',
          params,
        ),
      );
      return { seen };
    });
  }
  return methods;
}

/** The guest's console, from here or from the node that runs it. @throws Error that says why there is none */
async function openConsole(member: Member, instance: Instance, on: number): Promise<ByteStream> {
  if (on === member.file.member) {
    const driver = hypervisorOf(member.drivers, instance.hypervisor);
    await checkLocalConsole(member.env, driver, instance.name);
    return openLocalConsole(driver, instance.name);
  }
  const hello = { instance: instance.uuid };
  await member.mesh.call(on, 'console.check', hello, { timeout_ms: read_timeout_ms });
  return member.mesh.openStream(on, 'console', hello, read_timeout_ms);
}

/** Refuses what consensus would, in the operator's words. */
function refuseHeir(member: Member, node: Node): void {
  const { leader, configuration } = member.replica.status();
  const refuse = (why: string) => {
    throw new ApiFailure('refused', `node ${node.name} ${why}`, 'skein node list -o name,role,voter');
  };
  if (node.member === leader) refuse('leads already');
  if (!configuration.voters.includes(node.member)) refuse('does not vote: expected one that does');
}

/** Resolves with the job when it has ended; shows each change, and the leader's notes of progress, meanwhile. */
async function watchJob(
  member: Member,
  id: number,
  show: (event: JobEvent) => void,
  signal: AbortSignal,
): Promise<Job> {
  let shown: Job | null = null;
  jobOf(member, id);
  const progress = new AbortController();
  const follow = () => {
    if (progress.signal.aborted) return;
    member.leader
      .call(
        'lead.progress',
        { job: id },
        {
          timeout_ms: 24 * 3600 * 1000,
          repeat: true,
          onNote: (note) =>
            show({ type: 'progress', ...(note as Omit<Extract<JobEvent, { type: 'progress' }>, 'type'>) }),
          signal: progress.signal,
        },
      )
      // Answered: that leader leads no more.
      .then(
        () => 'the lead has changed',
        (error: Error) => error.message,
      )
      .then((reason) => {
        if (progress.signal.aborted) return;
        member.env.log('debug', 'progress of a job', { job: id, reason });
        member.env.after(progress_retry_ms, follow);
      });
  };
  try {
    return await new Promise<Job>((resolve, reject) => {
      const look = () => {
        const job = member.state.get('jobs', jobKey(id));
        if (!job) {
          stop();
          const destroyed = isDestroyed(member.state);
          // Archived while we watched: what was shown last is its end.
          const last = shown && destroyed ? endWithCluster(shown, member.env.wall_s()) : shown;
          if (last) resolve(last);
          else if (destroyed) reject(clusterGone(member));
          else reject(new ApiFailure('not-found', `job ${id} does not exist`));
          return;
        }
        if (job === shown) return;
        shown = job;
        show({ type: 'job', job });
        if (job.end_timestamp !== null) {
          stop();
          resolve(job);
        }
      };
      const stop = member.onApplied(look);
      signal.addEventListener('abort', () => {
        stop();
        reject(new Error('the client went away'));
      });
      look();
      if (shown && (shown as Job).end_timestamp === null) follow();
    });
  } finally {
    progress.abort();
  }
}
