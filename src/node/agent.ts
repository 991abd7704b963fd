/**
 * The agent's life: alone on a host that is in no cluster, then a member. Founding and joining are its only acts while
 * alone; both write `member.json` last, so that a crash on the way leaves a host that is in no cluster and may try
 * again.
 */
import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentOptions } from './agent-options.ts';
import { memberMethods } from './api-methods.ts';
import { ApiFailure, type ApiHandler, startApiServer } from './api-server.ts';
import type { AgentStatus } from './api-types.ts';
import type { CrashPoint } from './crash-point.ts';
import { copyDurable, syncDirectory } from './durable-file.ts';
import { endGuests } from './end-guests.ts';
import { found } from './founding.ts';
import type { Host } from './host.ts';
import { joinCluster, parseJoining } from './joining.ts';
import type { KeeperClient } from './keeper-client.ts';
import { parseLeave, refuseWhileKnown } from './leave-check.ts';
import type { HostDrivers } from './make-drivers.ts';
import { type Member, startMember } from './member.ts';
import { type MemberFile, readMemberFile, removeMemberFile } from './member-file.ts';
import { nodeVersionWarning } from './node-version.ts';
import { ownAddresses } from './own-address.ts';
import type { Env } from './real-env.ts';
import {
  onSuperseded,
  type RecoverApiDeps,
  recoverMethods,
  superseded_next,
  supersededText,
  unseenWarnings,
} from './recover-api.ts';
import { completePending } from './recover-store.ts';
import { faultWarnings } from './storage-fault.ts';
import { startWhoServer, type WhoServer } from './who-server.ts';
import { within } from './within.ts';

export interface AgentDeps {
  readonly options: AgentOptions;
  readonly env: Env;
  readonly host: Host;
  readonly keeper: KeeperClient;
  readonly drivers: HostDrivers;
  readonly version: string;
  /** Tests only; null in a real agent. */
  readonly crash: CrashPoint | null;
  /** Ends the process: the keeper starts it again, into its new life. */
  exit(code: number): void;
}

const join_timeout_ms = 60_000;
const init_timeout_ms = 20_000;
const leave_tries = 5;
/** Longest wait of `status` for a hypervisor: whoever asks wants to know that it hangs. */
const status_list_timeout_ms = 2_000;
/** Where every node says who it is, over HTTP. */
const who_port = 1821;

export interface Agent {
  close(): Promise<void>;
}

export async function startAgent(deps: AgentDeps): Promise<Agent> {
  const { options, env, keeper, host } = deps;
  await mkdir(options.data_dir, { recursive: true, mode: 0o700 });
  let member: Member | null = null;
  /** The membership of a host that stands down: its cluster was recovered without it. */
  let stood: MemberFile | null = null;
  /** A founding or joining is under way. */
  let changing = false;
  /** See JoiningDeps. */
  let life = env.uuid();
  const node_warning = nodeVersionWarning(process.version);
  if (node_warning) env.log('warn', node_warning);
  let outside: ReadonlyMap<string, ApiHandler> = new Map();
  let methods = outside;

  /** Beside the damaged log: both go when this host becomes a member anew. */
  async function setImageAside(): Promise<void> {
    const to = join(options.data_dir, 'log');
    const taken = await readdir(to);
    let n = 1;
    while (taken.includes(`damaged-${n}-state`)) n += 1;
    await rename(join(options.data_dir, 'state'), join(to, `damaged-${n}-state`));
    await syncDirectory(to);
    await syncDirectory(options.data_dir);
  }

  const recovery: RecoverApiDeps = {
    env,
    host,
    member: () => member,
    stood: () => stood,
    async stop() {
      const stopped = member;
      member = null;
      methods = outside;
      // Until it starts anew: no other membership may begin here.
      changing = true;
      await stopped?.close(false);
    },
    async keepCopy(name) {
      const taken = await readdir(options.data_dir);
      let n = 1;
      while (taken.includes(`${name}-${n}`)) n += 1;
      const to = join(options.data_dir, `${name}-${n}`);
      await copyDurable(options.data_dir, ['log', 'state', 'journal', 'member.json'], to);
      return to;
    },
    exit: deps.exit,
  };

  const superseded = onSuperseded(recovery);

  async function begin(file: MemberFile): Promise<Member> {
    member = await startMember({
      options,
      env,
      host,
      keeper,
      drivers: deps.drivers,
      file,
      version: deps.version,
      crash: deps.crash,
      setImageAside,
      left(reason) {
        // What is left of its state is nothing to answer from.
        methods = outside;
        leave(reason, Number.POSITIVE_INFINITY).catch((error: Error) =>
          env.fatal(`this host is in the cluster no more and cannot forget it: ${error.message}`, error),
        );
      },
      superseded,
      restart(reason) {
        env.log('warn', 'the agent starts anew', { reason });
        deps.exit(0);
      },
    });
    methods = new Map([...aloneMethods, ...memberMethods(member)]);
    return member;
  }

  /** A membership that cannot begin here (its port is taken, say) is none: the next start must not try it again. */
  async function beginNew(file: MemberFile): Promise<Member> {
    try {
      return await begin(file);
    } catch (error) {
      await removeMemberFile(host.membership);
      // What it had opened already is closed by a new start.
      env.after(100, () => deps.exit(1));
      throw new ApiFailure('unavailable', `this agent cannot start as a member: ${(error as Error).message}`);
    }
  }

  /** Guests first, membership after: a host that dies in between is still a member, and ends them when asked again. */
  async function leave(reason: string, tries: number): Promise<void> {
    env.log('warn', 'leaving the cluster', { reason });
    await member?.retire(reason);
    await endGuests({ env, hypervisors: deps.drivers.hypervisors }, tries);
    await removeMemberFile(host.membership);
    // After the answer to whoever asked.
    env.after(50, () => deps.exit(0));
  }

  const leaveCluster: ApiHandler = async (params) => {
    const { force } = parseLeave(params);
    const file = member?.file ?? stood;
    if (!file) throw new ApiFailure('no-cluster', 'this host is in no cluster', 'skein status');
    const { cluster_name, node_name } = file;
    if (!force && member) await refuseWhileKnown(member);
    if (!force && stood) throw new ApiFailure('refused', supersededText(stood), superseded_next);
    await leave(`asked for on this host${force ? ', by force' : ''}`, leave_tries).catch((error: Error) => {
      // It was put out of action before: a new start makes a whole member of it again.
      env.after(100, () => deps.exit(1));
      throw new ApiFailure(
        'refused',
        `this host is still in cluster ${cluster_name}: ${error.message}`,
        'skein node leave',
      );
    });
    return { cluster_name, name: node_name };
  };

  async function exclusively<T>(act: () => Promise<T>): Promise<T> {
    if (member)
      throw new ApiFailure(
        'exists',
        `this host is a member of cluster ${member.file.cluster_name} already`,
        'skein status',
      );
    if (stood) throw new ApiFailure('exists', supersededText(stood), superseded_next);
    if (changing)
      throw new ApiFailure('refused', 'this host is being set up by another command', 'skein status');
    changing = true;
    try {
      return await act();
    } finally {
      changing = false;
    }
  }

  const foundCluster: ApiHandler = (params) =>
    exclusively(async () => {
      const file = await found({ options, env, host, boot: keeper.boot }, params);
      const started = await beginNew(file);
      const founded = () => started.state.get('cluster', 'cluster') !== undefined;
      await until(started, init_timeout_ms, founded, 'the cluster to be founded');
      return { uuid: file.cluster_uuid };
    });

  const joinThis: ApiHandler = (params) =>
    exclusively(async () => {
      const joining = parseJoining({ options, env }, params);
      const file = await joinCluster({ options, env, host, boot: keeper.boot, life }, joining);
      // From here on it may vote under that number.
      life = env.uuid();
      const started = await beginNew(file);
      const arrived = () => started.state.get('nodes', file.node_uuid) !== undefined;
      await until(started, joining.timeout_ms ?? join_timeout_ms, arrived, 'the configuration to arrive');
      return { name: file.node_name, member: file.member, cluster_name: file.cluster_name };
    });

  function until(started: Member, timeout_ms: number, reached: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!reached()) return;
        off();
        cancel();
        resolve();
      };
      const off = started.onApplied(look);
      const cancel = env.after(timeout_ms, () => {
        off();
        reject(new ApiFailure('timeout', `waited ${timeout_ms / 1000} s for ${what}`, 'skein status'));
      });
      look();
    });
  }

  async function status(): Promise<AgentStatus> {
    const raft = member?.replica.status();
    const nodes = member?.state.list('nodes') ?? [];
    const guests = [];
    const warnings = [member?.master.trouble() ?? '', node_warning ?? ''].filter((text) => text !== '');
    const nameOf = (id: number) => nodes.find((node) => node.member === id)?.name ?? `member ${id}`;
    if (stood) warnings.push(`${supersededText(stood)}; ${superseded_next}`);
    if (member) warnings.push(...unseenWarnings(member.state));
    if (raft) warnings.push(...faultWarnings(raft, nameOf));
    for (const driver of deps.drivers.hypervisors.values()) {
      try {
        guests.push(...(await within(env.after, driver.list(), status_list_timeout_ms, 'listing guests')));
      } catch (error) {
        warnings.push(`${driver.name}: ${(error as Error).message}`);
      }
    }
    if (keeper.watchdog !== 'proven')
      warnings.push('no proven watchdog on this host: guests are protected by time only');
    return {
      version: deps.version,
      node_version: process.version,
      name: (member?.file ?? stood)?.node_name ?? options.name,
      member: (member?.file ?? stood)?.member ?? 0,
      peer_id: host.peer_id,
      in_cluster: member !== null || stood !== null,
      role: raft?.role ?? 'none',
      term: raft?.term ?? 0,
      leader: nodes.find((node) => node.member === raft?.leader)?.name ?? '',
      established: raft?.established ?? false,
      raft_members: raft ? [...raft.configuration.voters, ...raft.configuration.learners] : [],
      commit: raft?.commit ?? 0,
      applied: raft?.applied ?? 0,
      boot: keeper.boot,
      lease_left_ms: Math.round(member?.lease.left_ms() ?? 0),
      lease_valid: member?.lease.mayStart() === null,
      master_ip_held: member?.master.held() ?? false,
      keeper: true,
      peers: nodes
        .filter((node) => node.member !== member?.file.member)
        .map((node) => ({
          name: node.name,
          member: node.member,
          up: member?.mesh.isUp(node.member) ?? false,
        })),
      guests: guests.map((guest) => ({ name: guest.name, state: guest.state, epoch: guest.epoch })),
      warnings,
      pid: process.pid,
      keeper_pid: process.ppid,
      state_hash: member ? `${member.stateHash().index}:${member.stateHash().hash}` : '',
    };
  }

  /** A convenience: an agent whose port is taken does its work all the same. */
  async function startWho(): Promise<WhoServer | null> {
    const loopback = ownAddresses(options).find((address) => address.startsWith('/ip4/127.'));
    try {
      return await startWhoServer(who_port, loopback?.split('/')[2] ?? '::', () => {
        const raft = member?.replica.status();
        const nodes = member?.state.list('nodes') ?? [];
        return {
          name: member?.file.node_name ?? options.name,
          cluster: member?.file.cluster_name ?? '',
          role: raft?.role ?? 'none',
          term: raft?.term ?? 0,
          leader: nodes.find((node) => node.member === raft?.leader)?.name ?? '',
          master: raft?.role === 'leader' && raft.established,
        };
      });
    } catch (error) {
      env.log('warn', 'no status page', { port: who_port, error: (error as Error).message });
      return null;
    }
  }

  const aloneMethods = new Map<string, ApiHandler>([
    ['status', () => status()],
    ['cluster.init', foundCluster],
    ['cluster.join', joinThis],
    ['cluster.leave', leaveCluster],
    ...recoverMethods(recovery),
    [
      'agent.stop',
      async () => {
        env.after(20, () => deps.exit(0));
        return null;
      },
    ],
  ]);
  const alone: ApiHandler = () =>
    Promise.reject(
      stood
        ? new ApiFailure('refused', supersededText(stood), superseded_next)
        : new ApiFailure(
            'no-cluster',
            'this host is in no cluster',
            'skein cluster init --help, or skein join TOKEN',
          ),
    );
  const known = [
    'query',
    'submit',
    'job.watch',
    'job.cancel',
    'job.priority',
    'job.archive',
    'job.hold',
    'maintenance.plan',
    'balance.plan',
    'placement.cluster',
    'evacuation.plan',
    'job.why',
    'token.create',
    'token.revoke',
    'events',
    'instance.console',
    'instance.why',
    'cluster.capacity',
    'raft.status',
    'raft.transfer',
    'test.propose',
    'test.crash',
  ];
  outside = new Map([...aloneMethods, ...known.map((name): [string, ApiHandler] => [name, alone])]);
  methods = outside;

  const found_file = await readMemberFile(host.membership);
  const file = found_file && (await completePending(host, found_file));
  if (file?.superseded) {
    stood = file;
    env.log('error', supersededText(file), { next: superseded_next });
  } else if (file) await begin(file);
  /** Looks the method up at each call: founding and joining change what there is. */
  const current: ReadonlyMap<string, ApiHandler> = {
    get: (name: string) => methods.get(name),
    has: (name: string) => methods.has(name),
  } as ReadonlyMap<string, ApiHandler>;
  const server = await startApiServer(join(options.run_dir, 'api.sock'), current, env);
  const who = await startWho();
  env.log('info', 'agent is up', {
    name: options.name,
    peer_id: host.peer_id,
    in_cluster: file !== null,
    boot: keeper.boot,
  });

  return {
    async close() {
      await who?.close();
      await server.close();
      await member?.close(true);
    },
  };
}
