/**
 * A cluster without machines, for tests of the engine and the opcodes: proposals apply to a real state at rising
 * indices, verbs act on pretended nodes that remember their guests and disks. Acts are idempotent and recorded, and
 * faults can be put at every proposal and every call. Time passes when the test says so.
 */

import type { State } from '../config/api.ts';
import type { Command } from '../config/commands.ts';
import { default_ha } from '../config/defaults.ts';
import { loose_ipolicy } from '../config/ipolicy.ts';
import { jobKey, stepKey } from '../config/keys.ts';
import type { Cluster, Evidence, Job, Node, NodeGroup, OpInput } from '../config/model.ts';
import { createState } from '../config/state.ts';
import { pretendedReport } from './maintenance/pretended-plan.ts';
import { createPlacementDesk, direct_placement, type PlacementEngine } from './placement-desk.ts';
import { type LiveNode, NodeCallError, type OpsPorts, type StepKey, type VerbName } from './types.ts';

/** What happens to one proposal: applied and answered; lost; applied but the answer lost; as if in another's term. */
export type ProposalFate = 'apply' | 'lose' | 'apply-then-lose';

export interface CallSeen {
  readonly node: string;
  readonly key: StepKey;
  readonly verb: VerbName;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface FakeNode {
  /** name -> epoch */
  readonly guests: Map<string, number>;
  readonly disks: Set<string>;
  /** Calls acted upon, by key: a second call with the same key gets the first one's result. */
  readonly done: Map<string, unknown>;
}

export interface FakeWorld {
  readonly state: State;
  readonly nodes: ReadonlyMap<string, FakeNode>;
  readonly calls: readonly CallSeen[];
  readonly proposals: readonly Command[];
  readonly barred: ReadonlyMap<string, number>;
  readonly removed_members: readonly number[];
  readonly evidence: Map<string, Evidence>;
  readonly silent: Set<string>;
  /** Nodes that do not come back from a reboot. */
  readonly stuck: Set<string>;
  /** Ports of one engine; `dead` ones answer nothing any more. */
  ports(hooks?: Hooks): OpsPorts;
  apply(command: Command): unknown;
  submit(...jobs: readonly (readonly OpInput[])[]): readonly number[];
  submitWith(
    options: { readonly priority?: number; readonly depends?: Job['depends'] },
    ...ops: readonly OpInput[]
  ): number;
  job(id: number): Job;
  /** Lets timers due within `ms` fire, in order. */
  advance(ms: number): void;
  onApplied(handler: () => void): void;
  addInstance(
    name: string,
    options?: { readonly node?: string; readonly template?: string; readonly up?: boolean },
  ): string;
}

export interface Hooks {
  readonly proposal?: (command: Command, count: number) => ProposalFate;
  /** Before a verb acts; may throw a {@link NodeCallError}, or wait. */
  readonly call?: (call: CallSeen, count: number) => Promise<void> | void;
  /** In place of one that answers on the spot. */
  readonly placement?: PlacementEngine;
}

const born = { serial_no: 1, ctime: 1, mtime: 1 };
export const node_uuid = (n: number): string => `node-${n}`;

export function createFakeWorld(node_count = 3): FakeWorld {
  const state = createState();
  const nodes = new Map<string, FakeNode>();
  const calls: CallSeen[] = [];
  const proposals: Command[] = [];
  /** Bars are the memory of one leader: those of the ports made last. */
  let barred = new Map<string, number>();
  const removed_members: number[] = [];
  const evidence = new Map<string, Evidence>();
  const silent = new Set<string>();
  const stuck = new Set<string>();
  const handlers: (() => void)[] = [];
  let timers: { at_ms: number; fn: () => void }[] = [];
  let now_ms = 0;
  let drawn = 0;
  let requests = 0;

  function apply(command: Command): unknown {
    const result = state.apply(state.index + 1, command);
    for (const handler of handlers) handler();
    if (!result.ok) throw Object.assign(new Error(result.error.message), { code: result.error.code });
    return result.value;
  }

  function nodeOf(uuid: string): FakeNode {
    const node = nodes.get(uuid);
    if (!node) throw new NodeCallError('node-lost', `no node ${uuid}`);
    return node;
  }

  function act(
    node: FakeNode,
    uuid: string,
    verb: VerbName,
    args: Readonly<Record<string, unknown>>,
  ): unknown {
    const instance = state.get('instances', String(args.instance));
    switch (verb) {
      case 'disk.create': {
        const disk = state.get('disks', String(args.disk));
        if (!disk) throw new NodeCallError('failed', `disk ${String(args.disk)} is not in the configuration`);
        node.disks.add(disk.uuid);
        return null;
      }
      case 'disk.remove': {
        const reached = args.template === 'sharedfile' ? nodes.values() : [node];
        for (const each of reached) each.disks.delete((args.disk as { uuid: string }).uuid);
        return null;
      }
      case 'instance.start':
        if (
          !instance ||
          instance.owner.node !== uuid ||
          instance.owner.epoch !== args.epoch ||
          instance.owner.boot !== state.get('nodes', uuid)?.boot
        ) {
          throw new NodeCallError(
            'failed',
            `this node does not own ${String(args.instance)} under epoch ${String(args.epoch)}`,
          );
        }
        for (const [other, each] of nodes) {
          if (other !== uuid && each.guests.has(instance.name))
            throw new Error(`double run of ${instance.name} on ${other} and ${uuid}`);
        }
        node.guests.set(instance.name, Number(args.epoch));
        return null;
      case 'instance.stop': {
        const was_running = node.guests.delete(String(args.name));
        return { was_running };
      }
      case 'instance.cleanup':
        node.guests.delete(String(args.name));
        return null;
      case 'node.check':
        return { problems: [], free_memory_mib: 4096 };
      case 'node.verify':
        return {
          guests: [...node.guests].map(([name, epoch]) => ({
            name,
            epoch,
            uuid: state.list('instances').find((each) => each.name === name)?.uuid ?? name,
            state: 'running',
          })),
          orphan_files: [],
          missing_disks: [],
          applied_index: state.index,
          state_hash_at: { index: 1, hash: 'aa' },
          version: '0.1.0',
          wall_time: 1_000_000 + now_ms / 1000,
          hypervisors: { fake: { available: true, reason: '' } },
          free_mib: { memory: 4096 },
        }; // prettier-ignore
      case 'node.reboot':
      case 'node.power-cycle': {
        const target = state.get('nodes', verb === 'node.reboot' ? uuid : String(args.node))!;
        if (target.boot > Number(args.boot)) return { rebooted: true, cycled: false };
        nodeOf(target.uuid).guests.clear();
        const time = 1_000_000 + now_ms / 1000;
        if (!stuck.has(target.uuid)) {
          const boot = target.boot + 1;
          timers.push({
            at_ms: now_ms + 5_000,
            fn: () => apply({ type: 'node-boot', time, uuid: target.uuid, boot }),
          });
        }
        return { rebooted: false, cycled: true };
      }
      case 'os.create':
      case 'instance.reset':
      case 'test.delay':
        return null;
      default:
        return verb satisfies never;
    }
  }

  function live(uuid: string): LiveNode | undefined {
    const node = nodes.get(uuid);
    if (!node || silent.has(uuid) || evidence.has(uuid)) return undefined;
    return {
      boot: state.get('nodes', uuid)?.boot ?? 1,
      total_memory_mib: 8192,
      free_memory_mib: 4096,
      cpus: 4,
      total_disk_mib: 100_000,
      free_disk_mib: 50_000,
      guests: [],
      os: ['noop'],
      age_ms: 100,
    }; // prettier-ignore
  }

  function ports(hooks: Hooks = {}): OpsPorts {
    let proposed = 0;
    let called = 0;
    const bars = new Map<string, number>();
    barred = bars;
    const desk = createPlacementDesk({ state, engine: hooks.placement ?? direct_placement, live });
    return {
      state,
      async propose(command) {
        const fate = hooks.proposal?.(command, proposed++) ?? 'apply';
        proposals.push(command);
        await Promise.resolve();
        const unknown = () =>
          Object.assign(new Error('leadership lost'), { code: 'lost', outcome: 'unknown' });
        if (fate === 'lose') throw unknown();
        const value = apply(command);
        if (fate === 'apply-then-lose') throw unknown();
        return { index: state.index, value };
      },
      async call(uuid, key, index, verb, args, _onProgress, signal) {
        const seen: CallSeen = { node: uuid, key, verb, args: args as CallSeen['args'] };
        calls.push(seen);
        // As a real node does: a step that has ended is not acted on again.
        const step = state.get('steps', stepKey(key.job, key.op, key.step));
        if (step === undefined || (!key.undo && step.status !== 'open') || step.status === 'undone') {
          throw new NodeCallError(
            'failed',
            `late call: ${verb} for step ${key.step}, which is ${step?.status ?? 'gone'}`,
          );
        }
        if (step.node !== uuid) throw new NodeCallError('refused', `step ${key.step} is for ${step.node}`);
        if (index > state.index) throw new Error(`call at index ${index}, which is not applied yet`);
        await Promise.resolve();
        await hooks.call?.(seen, called++);
        if (signal.aborted) throw new NodeCallError('canceled', 'canceled');
        if (evidence.has(uuid)) throw new NodeCallError('node-lost', `node ${uuid} is lost`);
        const node = nodeOf(uuid);
        const id = JSON.stringify([key.job, key.op, key.step, key.undo]);
        if (!node.done.has(id)) node.done.set(id, act(node, uuid, verb, seen.args));
        return node.done.get(id);
      },
      placement: {
        ...desk,
        report: async (ask) =>
          ask.type === 'evacuation' ? desk.report(ask) : (pretendedReport(state, ask) as never),
      },
      live,
      evidence: (uuid) => evidence.get(uuid) ?? null,
      barLease(uuid) {
        bars.set(uuid, (bars.get(uuid) ?? 0) + 1);
        return () => {
          const left = bars.get(uuid)! - 1;
          if (left === 0) bars.delete(uuid);
          else bars.set(uuid, left);
        };
      },
      removeMember(member) {
        if (!removed_members.includes(member)) removed_members.push(member);
        return Promise.resolve();
      },
      voters: () => state.list('nodes').map((node) => node.member),
      now_ms: () => now_ms,
      wall_s: () => 1_000_000 + now_ms / 1000,
      after(delay_ms, fn) {
        const timer = { at_ms: now_ms + delay_ms, fn };
        timers.push(timer);
        return () => {
          timers = timers.filter((each) => each !== timer);
        };
      },
      uuid: () => `uuid-${++drawn}`,
      random: () => (++drawn * 0.618) % 1,
      log: () => undefined,
    };
  }

  function newNode(n: number): Node {
    return {
      ...born,
      uuid: node_uuid(n),
      tags: [],
      name: `n${n}`,
      member: n,
      peer_id: `peer${n}`,
      addresses: [`/ip4/10.0.0.${n}/tcp/1`],
      primary_ip: `10.0.0.${n}`,
      secondary_ip: `10.0.0.${n}`,
      group: 'group-1',
      offline: false,
      drained: false,
      master_candidate: true,
      master_capable: true,
      vm_capable: true,
      ndparams: {},
      boot: 1,
      health: 'member',
      health_since: 1,
      health_reason: '',
    }; // prettier-ignore
  }

  const cluster: Cluster = {
    ...born,
    uuid: 'cluster-1',
    tags: [],
    cluster_name: 'test',
    master_ip: '',
    master_netdev: '',
    master_netmask: 32,
    use_external_mip_script: false,
    primary_ip_family: 2,
    mac_prefix: 'aa:00:00',
    enabled_hypervisors: ['fake'],
    enabled_disk_templates: ['sharedfile', 'file', 'diskless'],
    hvparams: {},
    os_hvp: {},
    beparams: {},
    nicparams: {},
    ndparams: {},
    diskparams: {},
    ipolicy: loose_ipolicy,
    osparams: {},
    candidate_pool_size: 5,
    max_running_jobs: 20,
    file_storage_dir: '/srv/file',
    shared_file_storage_dir: '/srv/shared',
    ha: default_ha,
    generation: 0,
    feature_level: 0,
  }; // prettier-ignore
  const group: NodeGroup = {
    ...born,
    uuid: 'group-1',
    tags: [],
    name: 'default',
    alloc_policy: 'preferred',
    ndparams: {},
    diskparams: {},
  };
  apply({ type: 'cluster-init', time: 1, cluster, group, node: newNode(1) });
  for (let n = 2; n <= node_count; n++) {
    const { uuid, name, peer_id, addresses, primary_ip } = newNode(n);
    const secret_hash = 'a'.repeat(64);
    apply({
      type: 'token-add',
      time: 1,
      id: `t${n}`,
      secret_hash,
      expires: 1e9,
      group: 'group-1',
      master_capable: true,
      vm_capable: true,
    });
    apply({
      type: 'node-join',
      time: 1,
      token: `t${n}`,
      secret_hash,
      peer_id,
      uuid,
      name,
      addresses,
      primary_ip,
      boot: 1,
    });
  }
  for (const node of state.list('nodes'))
    nodes.set(node.uuid, { guests: new Map(), disks: new Set(), done: new Map() });

  const world: FakeWorld = {
    state,
    nodes,
    calls,
    proposals,
    removed_members,
    evidence,
    silent,
    stuck,
    ports,
    apply,
    submit(...jobs) {
      const request = jobs.map((ops) => ({ ops, priority: 0, depends: [], reason: [] }));
      return apply({
        type: 'job-submit',
        time: 1,
        request_id: `r${++requests}`,
        jobs: request,
      }) as readonly number[];
    },
    submitWith({ priority = 0, depends = [] }, ...ops) {
      const request_id = `r${++requests}`;
      return (
        apply({
          type: 'job-submit',
          time: 1,
          request_id,
          jobs: [{ ops, priority, depends, reason: [] }],
        }) as readonly number[]
      )[0]!;
    },
    get barred() {
      return barred;
    },
    job: (id) => state.get('jobs', jobKey(id))!,
    advance(ms) {
      const until_ms = now_ms + ms;
      for (;;) {
        const next = timers.filter((timer) => timer.at_ms <= until_ms).sort((a, b) => a.at_ms - b.at_ms)[0];
        if (!next) break;
        timers = timers.filter((timer) => timer !== next);
        now_ms = next.at_ms;
        next.fn();
      }
      now_ms = until_ms;
    },
    onApplied: (handler) => {
      handlers.push(handler);
    },
    addInstance(name, { node = node_uuid(1), template = 'sharedfile', up = true } = {}) {
      const uuid = `inst-${name}`;
      const disk = `disk-${name}`;
      const disks = template === 'diskless' ? [] : [disk];
      apply({
        type: 'instance-add',
        time: 1,
        boot: 1,
        instance: {
          uuid,
          tags: [],
          name,
          primary_node: node,
          os: 'noop',
          hypervisor: 'fake',
          hvparams: {},
          beparams: {},
          osparams: {},
          admin_state: up ? 'up' : 'down',
          admin_state_source: 'admin',
          disk_template: template,
          disks,
          nics: [],
        },
        disks: disks.map((id) => ({
          uuid: id,
          name: null,
          dev_type: template,
          size: 128,
          mode: 'rw',
          logical_id: ['loop', `/srv/${name}/${id}`],
          iv_name: 'disk/0',
          instance: uuid,
        })),
      }); // prettier-ignore
      for (const id of disks) nodes.get(node)!.disks.add(id);
      if (up) nodes.get(node)!.guests.set(name, 1);
      return uuid;
    },
  };
  return world;
}

/**
 * What no finished job may leave behind: steps, locks, bars, guests or disks that the configuration does not know, and
 * what the configuration wants and nobody has. Answers the complaints.
 */
export function leftovers(world: FakeWorld): readonly string[] {
  const { state } = world;
  const found: string[] = [];
  const unfinished = state.list('jobs').filter((job) => job.end_timestamp === null);
  for (const job of unfinished) found.push(`job ${job.id} is ${job.status}`);
  for (const step of state.list('steps'))
    found.push(`step ${step.job}/${step.op}/${step.step} ${step.name} is left`);
  for (const job of state.list('jobs')) if (job.locks.length > 0) found.push(`job ${job.id} holds locks`);
  for (const uuid of world.barred.keys()) found.push(`node ${uuid} is still barred from leases`);
  const instances = new Map(state.list('instances').map((instance) => [instance.name, instance]));
  const disks = new Set(state.list('disks').map((disk) => disk.uuid));
  for (const [uuid, node] of world.nodes) {
    if (world.evidence.has(uuid)) continue;
    for (const [name, epoch] of node.guests) {
      const instance = instances.get(name);
      if (!instance) found.push(`guest ${name} is left on ${uuid}`);
      else if (instance.owner.node !== uuid || instance.owner.epoch !== epoch)
        found.push(
          `guest ${name} runs on ${uuid} epoch ${epoch}, owned by ${instance.owner.node} epoch ${instance.owner.epoch}`,
        );
      else if (instance.admin_state !== 'up') found.push(`guest ${name} runs though ${instance.admin_state}`);
    }
    for (const disk of node.disks) if (!disks.has(disk)) found.push(`disk ${disk} is left on ${uuid}`);
  }
  const present = new Set([...world.nodes.values()].flatMap((node) => [...node.disks]));
  for (const disk of disks)
    if (!present.has(disk)) found.push(`disk ${disk} is in the configuration and nowhere else`);
  return found;
}
