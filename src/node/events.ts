/**
 * What happened, in words, from the changes of the replicated state: numbered by log index, so that a client can go
 * on from where it was. The last events are kept in memory, bounded.
 */
import type { Change } from '../config/api.ts';
import { jobKey } from '../config/keys.ts';
import type { Instance, Job, Node } from '../config/model.ts';
import type { ClusterEvent } from './api-types.ts';

const kept_events = 5000;

export interface EventLog {
  /** @param before the object that the change replaced, if it is known. */
  add(index: number, time: number, change: Change): void;
  note(index: number, time: number, kind: string, name: string, text: string): void;
  /** Events after `index`, oldest first; then `handler` for each new one until the returned function is called. */
  follow(since: number, handler: (event: ClusterEvent) => void): () => void;
}

function describeNode(node: Node, before: Node | undefined): string | null {
  if (!before) return `joined as member ${node.member}`;
  if (before.member !== node.member) return `begins anew as member ${node.member}, was ${before.member}`;
  if (before.health !== node.health) return `${node.health}: ${node.health_reason}`;
  if (before.boot !== node.boot) return `is in boot ${node.boot}`;
  for (const flag of ['offline', 'drained', 'master_capable', 'vm_capable'] as const) {
    if (before[flag] !== node[flag]) return `${flag} is ${node[flag]}`;
  }
  return null;
}

function describeInstance(
  instance: Instance,
  before: Instance | undefined,
  nodeName: (uuid: string) => string,
): string | null {
  if (!before) return `created on ${nodeName(instance.owner.node)}`;
  if (before.owner.epoch !== instance.owner.epoch) {
    const evidence = instance.owner_log.at(-1)?.evidence;
    return `given to ${nodeName(instance.owner.node)}, epoch ${instance.owner.epoch} (${evidence?.kind}: ${evidence?.text})`;
  }
  if (before.admin_state !== instance.admin_state) return `admin state ${instance.admin_state}`;
  return null;
}

export function jobSummary(job: Job): string {
  return job.ops
    .map(({ input }) => {
      const target = input['instance_name'] ?? input['node_name'] ?? input['name'];
      const name = input.OP_ID.replace(/^OP_/, '');
      return typeof target === 'string' ? `${name}(${target})` : name;
    })
    .join(',');
}

/** What an agent knows when it starts: without it the first change of everything would read as its making. */
export interface KnownObjects {
  readonly nodes: readonly Node[];
  readonly instances: readonly Instance[];
  readonly jobs: readonly Job[];
}

export function createEventLog(nodeName: (uuid: string) => string, known: KnownObjects): EventLog {
  const events: ClusterEvent[] = [];
  const followers = new Set<(event: ClusterEvent) => void>();
  const last = {
    nodes: new Map(known.nodes.map((node) => [node.uuid, node])),
    instances: new Map(known.instances.map((instance) => [instance.uuid, instance])),
    jobs: new Map(known.jobs.map((job) => [jobKey(job.id), job])),
  };

  function note(index: number, time: number, kind: string, name: string, text: string): void {
    const event = { index, time, kind, name, text };
    events.push(event);
    if (events.length > kept_events) events.splice(0, events.length - kept_events);
    for (const follower of followers) follower(event);
  }

  function remember<T>(known: Map<string, T>, key: string, value: T | null): T | undefined {
    const before = known.get(key);
    if (value === null) known.delete(key);
    else known.set(key, value);
    return before;
  }

  return {
    note,
    add(index, time, change) {
      if (change.table === 'nodes') {
        const node = change.value as Node | null;
        const before = remember(last.nodes, change.key, node);
        const text = node ? describeNode(node, before) : 'removed';
        if (text) note(index, time, 'node', (node ?? before)?.name ?? change.key, text);
      } else if (change.table === 'instances') {
        const instance = change.value as Instance | null;
        const before = remember(last.instances, change.key, instance);
        const text = instance ? describeInstance(instance, before, nodeName) : 'removed';
        if (text) note(index, time, 'instance', (instance ?? before)?.name ?? change.key, text);
      } else if (change.table === 'jobs') {
        const job = change.value as Job | null;
        const before = remember(last.jobs, change.key, job);
        if (job && before?.status !== job.status)
          note(index, time, 'job', String(job.id), `${job.status} ${jobSummary(job)}`);
      }
    },
    follow(since, handler) {
      if (since > 0) for (const event of events) if (event.index > since) handler(event);
      followers.add(handler);
      return () => followers.delete(handler);
    },
  };
}
