/**
 * A running member of a cluster: log, state, mesh, replica, lease, guard, and, while it leads, the leader's duties.
 * This is where the parts are joined; each part's rules are in its own file.
 */
import type { StateView } from '../config/api.ts';
import type { Command } from '../config/commands.ts';
import { default_ha } from '../config/defaults.ts';
import { meta_key } from '../config/keys.ts';
import type { HaParams, OpInput } from '../config/model.ts';
import type { ReplicaApi } from '../consensus/api.ts';
import { openReplica } from '../consensus/index.ts';
import type { MasterIpParams } from '../drivers/types.ts';
import { opcodes } from '../ops/opcodes/registry.ts';
import type { LiveNode, Progress } from '../ops/types.ts';
import { createAcquaintance } from './acquaintance.ts';
import { createStepServer, type StepCall } from './actions/index.ts';
import { verifyReport } from './actions/node.ts';
import type { ActionWorld } from './actions/types.ts';
import type { AgentOptions } from './agent-options.ts';
import type { RaftStatus, RecoverLook } from './api-types.ts';
import { serveConsoles } from './console-server.ts';
import type { CrashPoint } from './crash-point.ts';
import { isDestroyed } from './destroyed.ts';
import type { Drivers } from './drivers.ts';
import { watchEventLoop } from './event-loop-watch.ts';
import { createEventLog, type EventLog } from './events.ts';
import { createFacts } from './facts.ts';
import { createGuard, type Guard } from './guard.ts';
import type { LeaseRenewal } from './ha-types.ts';
import type { Host } from './host.ts';
import { admitJoiner, joinIsOpen } from './join-server.ts';
import { openJournal } from './journal.ts';
import type { KeeperClient } from './keeper-client.ts';
import { lagsOf } from './lags.ts';
import { createLeaderClient, type LeaderClient } from './leader-client.ts';
import { type LeaderDuties, startLeaderDuties } from './leader-duties.ts';
import { createLeaseLoop, type LeaseLoop } from './lease-loop.ts';
import { createLeftovers } from './leftovers.ts';
import type { HostDrivers } from './make-drivers.ts';
import { createMasterRole, type MasterRole } from './master-role.ts';
import type { MemberFile } from './member-file.ts';
import type { ClusterGeneration, Mesh } from './mesh-types.ts';
import type { PlacementService } from './placement-service.ts';
import type { Env } from './real-env.ts';
import { serveSurvey } from './recover-survey.ts';
import { watchLog } from './recover-watch.ts';
import { beginAnew, watchOwnNumber } from './renewal.ts';
import { openStores } from './storage-fault.ts';
import { tellRemoved } from './tell-removed.ts';

export interface Member {
  readonly options: AgentOptions;
  readonly env: Env;
  readonly drivers: Drivers;
  readonly mesh: Mesh;
  readonly replica: ReplicaApi;
  readonly leader: LeaderClient;
  readonly state: StateView;
  readonly events: EventLog;
  readonly lease: LeaseLoop;
  readonly master: MasterRole;
  readonly node_uuid: string;
  readonly file: MemberFile;
  readonly placement: PlacementService;
  readonly opcodeNames: readonly string[];
  /** Tests only; null in a real agent. */
  readonly crash: CrashPoint | null;
  liveNodes(): ReadonlyMap<string, LiveNode>;
  /** How many committed entries each member lacked when the leader last heard of it; by member number. */
  lags(): ReadonlyMap<number, number>;
  /** Resolves when this replica has applied an index that the leader confirmed after the call. `with_live`: brings what the nodes reported last, too. */
  readBarrier(timeout_ms: number, with_live: boolean): Promise<void>;
  /** When something was last applied or confirmed (own clock). */
  appliedAt(): number;
  onApplied(handler: () => void): () => void;
  stateHash(): { readonly index: number; readonly hash: string };
  /** Whether the cluster may be recovered from this host, and what would be lost (docs/recover.md). */
  surveyRecovery(): Promise<RecoverLook>;
  /** Before leaving the cluster for good: nothing is begun here any more, and no step's program runs. */
  retire(reason: string): Promise<void>;
  close(hand_over: boolean): Promise<void>;
}

export interface MemberDeps {
  readonly options: AgentOptions;
  readonly env: Env;
  readonly host: Host;
  readonly keeper: KeeperClient;
  readonly drivers: HostDrivers;
  readonly file: MemberFile;
  readonly version: string;
  /** Tests only; null in a real agent. */
  readonly crash: CrashPoint | null;
  /** Moves a damaged state image out of the way, durably; absent: a member with one cannot start. */
  readonly setImageAside?: () => Promise<void>;
  /** This host was removed from the cluster, or the cluster is no more. */
  left(reason: string): void;
  /** This life of the agent is to end and another to begin; the guests go on. */
  restart(reason: string): void;
  /** Absent: that a later generation of the cluster was heard of is only logged. Called each time. */
  superseded?(theirs: ClusterGeneration): void;
}

/** @throws an error with code `invalid` that names the parameter, its value and what was expected. */
function checkOpcode(op: OpInput): void {
  try {
    opcodes.get(op.OP_ID)?.parse(op);
  } catch (error) {
    const { message } = error as Error;
    const text = message.startsWith(`${op.OP_ID}:`) ? message : `${op.OP_ID}: ${message}`;
    throw Object.assign(new Error(text), { code: 'invalid' });
  }
}

class NotLeader extends Error {
  readonly code = 'not-leader';
}

export async function startMember(deps: MemberDeps): Promise<Member> {
  const { options, env, host, keeper, drivers } = deps;
  const file = await beginAnew(host, deps.file);
  const opened = await openStores({ host, env, setImageAside: deps.setImageAside });
  const { machine } = opened;
  const { log, last } = watchLog(opened.log);
  const { state } = machine;
  const journal = await openJournal(await host.openJournalRecords());
  const mesh = await host.openMesh(file.member, {
    own() {
      const recovery = state.get('meta', meta_key)?.recovery;
      const recovered_by = recovery ? (state.get('nodes', recovery.node)?.name ?? '') : '';
      return { generation: file.generation, recovered_s: Math.floor(recovery?.time ?? 0), recovered_by };
    },
    other(from, theirs) {
      const later = theirs.generation > file.generation;
      const fields = { member: from, theirs: theirs.generation, own: file.generation };
      if (later) env.log('error', 'a member of a later generation of the cluster was heard', fields);
      else env.log('debug', 'a member of an earlier generation of the cluster is not let in', fields);
      if (later) deps.superseded?.(theirs);
    },
  });

  const mesh_since_ms = env.now_ms();
  const placement = host.openPlacement();
  // Before the replica: it hands its frames to the peers that the mesh knows.
  const who = createAcquaintance({
    env,
    mesh,
    state,
    remembered: file.peers,
    status: () => replica.status(),
    ownNumber: (member) => own_number.take(member),
  });
  const { peers } = who;

  const replica = await openReplica(
    { id: file.member, timing: options.timing, limits: options.raft_limits ?? {} },
    { log, machine, transport: mesh.raft, env, spool: opened.spool },
  );
  const surveyRecovery = serveSurvey({ env, mesh, replica, state, file, last });
  const leftovers = createLeftovers({ env, journal, state, drivers });
  const own_number = watchOwnNumber({ env, host, replica, state, file, peers, restart: deps.restart });
  const leader = createLeaderClient({
    mesh,
    replica,
    now_ms: env.now_ms,
    after: env.after,
    random: env.random,
  });
  const nodeName = (uuid: string) => state.get('nodes', uuid)?.name ?? uuid;
  const events = createEventLog(nodeName, {
    nodes: state.list('nodes'),
    instances: state.list('instances'),
    jobs: state.list('jobs'),
  });
  const facts = createFacts(env.now_ms, host.measures, drivers.hypervisors, drivers.os);
  const applied_handlers = new Set<() => void>();
  let applied_at_ms = env.now_ms();
  let live_from_leader: ReadonlyMap<string, LiveNode> = new Map();
  let lags_from_leader: ReadonlyMap<number, number> = new Map();
  let duties: LeaderDuties | null = null;
  let closing = false;
  let guard: Guard | null = null;

  const ha = (): HaParams => state.get('cluster', 'cluster')?.ha ?? default_ha;

  let lease_changed: () => void = () => undefined;
  const lease = createLeaseLoop({
    env,
    replica,
    mesh,
    node_uuid: file.node_uuid,
    boot: keeper.boot,
    self_member: file.member,
    peers: () => peers().map((peer) => peer.member),
    applied: () => replica.status().applied,
    ha,
    facts: () => facts.collect(state.get('cluster', 'cluster')?.file_storage_dir ?? options.data_dir),
    setLease: (deadline_ms, slack_ms) => keeper.setLease(deadline_ms, slack_ms, false),
    changed: () => lease_changed(),
  });

  const world: ActionWorld = {
    env,
    state,
    drivers,
    measures: host.measures,
    node_uuid: file.node_uuid,
    boot: keeper.boot,
    log_dir: options.log_dir,
    version: deps.version,
    mayStart: () => lease.mayStart(),
    hash: () => ({ index: state.index, hash: state.hash() }),
  };
  drivers.follow(state, (tag) => {
    const [uuid = '', epoch] = tag.split(':');
    const owner = state.get('instances', uuid)?.owner;
    const ours =
      owner?.node === file.node_uuid && owner.boot === keeper.boot && owner.epoch === Number(epoch);
    return ours ? lease.mayStart() : `${tag} is not given to this node and boot by the configuration`;
  });
  const steps = createStepServer({
    world,
    journal,
    term: () => replica.status().term,
    waitApplied: (index, timeout_ms) => replica.waitApplied(index, timeout_ms),
    acted() {
      lease.renewSoon();
      guard?.acted();
    },
  });

  guard = createGuard({
    env,
    state,
    drivers,
    node_uuid: file.node_uuid,
    boot: keeper.boot,
    stage: () => lease.stage(),
    left_ms: () => lease.left_ms(),
    nextHarm_ms: () => lease.nextHarm_ms(),
    mayStart: () => lease.mayStart(),
    isProtected: (instance) => instance.guarded,
    setPaused: (name, proven) => keeper.setPaused(`guest/${name}`, proven),
    changed: () => lease.renewSoon(),
  });
  lease_changed = () => {
    guard?.wake();
    if (lease.stage() === 'kill') steps.leaseLost();
  };
  keeper.onExit((exit) => {
    env.log('info', 'a process ended', {
      name: exit.name,
      code: exit.code,
      signal: exit.signal,
      log: exit.log_tail,
    });
    lease.renewSoon();
  });

  const election_ms = options.timing.tick_ms * options.timing.election_ticks;
  const masterParams = (): MasterIpParams | null => {
    const cluster = state.get('cluster', 'cluster');
    if (!cluster || cluster.master_ip === '') return null;
    return {
      netdev: cluster.master_netdev,
      ip: cluster.master_ip,
      netmask: cluster.master_netmask,
      family: cluster.master_ip.includes(':') ? 6 : 4,
      script: cluster.use_external_mip_script ? options.master_ip_script : '',
    };
  };
  const master = createMasterRole({
    env,
    driver: drivers.master_ip,
    setMaster: (deadline_ms, params) => keeper.setMaster(deadline_ms, params),
    extendMaster: (deadline_ms, params) => keeper.extendMaster(deadline_ms, params),
    deadline() {
      const status = replica.status();
      if (closing || status.role !== 'leader' || !status.established) return null;
      const deadline_ms = status.quorum_at_ms + election_ms;
      return deadline_ms > env.now_ms() ? deadline_ms : null;
    },
    params: masterParams,
    onChange: (held) =>
      events.note(
        state.index,
        env.wall_s(),
        'master-ip',
        nodeName(file.node_uuid),
        held ? 'holds the master IP' : 'let go of the master IP',
      ),
  });
  keeper.onMasterDropped(() => master.dropped());

  async function proposePendingInit(): Promise<void> {
    if (file.pending_init === null || state.get('cluster', 'cluster') || isDestroyed(state)) return;
    await duties?.propose(file.pending_init);
  }

  /** Once: what follows ends this process. */
  let ended = false;
  function endWithCluster(): void {
    if (ended || closing || !isDestroyed(state)) return;
    ended = true;
    env.after(0, () => deps.left(`cluster ${file.cluster_name} was destroyed`));
  }

  /** In this order on losing the lead: no more grants, then the address, before anything else. */
  function tendRole(): void {
    const status = replica.status();
    const leads = !closing && status.role === 'leader' && status.established;
    if (duties && (!leads || duties.term !== status.term)) {
      duties.stop();
      duties = null;
      env.log('info', 'leader no more', { term: status.term, leader: status.leader });
    }
    master.wake();
    if (leads && !duties) {
      duties = startLeaderDuties(
        {
          env,
          machine,
          replica,
          mesh,
          self_member: file.member,
          placement,
          mesh_since_ms,
          memberRemoved: (member) => tellRemoved({ env, mesh }, member),
          isPowered: (program, node) => drivers.power.isPowered(program, node),
          crash: deps.crash,
        },
        status.term,
      );
      env.log('info', 'leader', { term: status.term });
      proposePendingInit().catch((error: Error) =>
        env.log('error', 'the cluster could not be founded', { error: error.message }),
      );
    }
  }
  const led = (): LeaderDuties => {
    if (!duties) throw new NotLeader(`${options.name} does not lead`);
    return duties;
  };

  let last_leader = 0;
  replica.on('role', ({ leader: leading, term }) => {
    tendRole();
    if (leading !== last_leader && leading !== 0) {
      const name = state.list('nodes').find((node) => node.member === leading)?.name ?? `member ${leading}`;
      events.note(state.index, env.wall_s(), 'leader', name, `leads in term ${term}`);
    }
    last_leader = leading;
  });

  machine.onChanges((index, changes) => {
    applied_at_ms = env.now_ms();
    const now_s = env.wall_s();
    let nodes_changed = false;
    for (const change of changes) {
      events.add(index, now_s, change);
      if (change.table === 'nodes') nodes_changed = true;
      if (change.table === 'cluster') master.wake();
    }
    if (nodes_changed) {
      who.wake();
      own_number.wake();
    }
    duties?.wake();
    guard?.wake();
    steps.wake();
    for (const handler of applied_handlers) handler();
    endWithCluster();
    leftovers.tidy();
  });

  const liveRows = () => [...(duties?.live() ?? new Map<string, LiveNode>())];

  mesh.handle('lead.read', async (_from, params) => {
    const { with_live } = params as { with_live: boolean };
    led();
    const { index } = await replica.readIndex();
    return {
      index,
      live: with_live ? liveRows() : null,
      lags: with_live ? [...lagsOf(replica.status().commit, replica.progress())] : [],
    };
  });
  mesh.handle('lead.propose', (_from, params) => led().propose((params as { command: Command }).command));
  mesh.handle('lead.submit', async (_from, params) => {
    const { request_id, jobs } = params as Pick<
      Extract<Command, { type: 'job-submit' }>,
      'request_id' | 'jobs'
    >;
    for (const job of jobs) for (const op of job.ops) checkOpcode(op);
    const { value } = await led().propose({ type: 'job-submit', time: env.wall_s(), request_id, jobs });
    return value;
  });
  mesh.handle('lead.renew', (_from, params) =>
    led().granter.renew((params as { renewal: LeaseRenewal }).renewal),
  );
  mesh.handle('relay.renew', (from, params) => {
    const status = replica.status();
    if (status.leader === 0 || status.leader === from)
      throw new NotLeader('this relay knows no other leader');
    return mesh.call(status.leader, 'lead.renew', params, { timeout_ms: ha().lease_ms });
  });
  mesh.handle('lead.why', async (_from, params) => ({
    why: led().engine.why((params as { job: number }).job),
  }));
  mesh.handle('lead.standings', async () => {
    const { term, standings, votersReason } = led();
    return {
      term,
      leader: nodeName(file.node_uuid),
      waits_for: votersReason(),
      members: standings(),
    } satisfies RaftStatus;
  });
  mesh.handle('lead.transfer', async (_from, params) => {
    const { to } = params as { to: number | null };
    led();
    await replica.transferLeadership(to ?? undefined);
    return null;
  });
  mesh.handle('lead.progress', (_from, params, ctx) => {
    const { job } = params as { job: number };
    const { engine } = led();
    if (ctx.signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const off = engine.onProgress((note) => {
        if (note.job === job) ctx.note({ op: note.op, step: note.step, ...note.progress });
      });
      const offRole = replica.on('role', () => {
        // Duties of a later term have another engine: the caller asks again.
        if (duties?.engine !== engine) finish();
      });
      function finish(): void {
        off();
        offRole();
        resolve(null);
      }
      ctx.signal.addEventListener('abort', finish);
    });
  });
  mesh.handle('node.call', (_from, params, ctx) =>
    steps.serve(params as StepCall, (progress: Progress) => ctx.note(progress)),
  );
  mesh.handle('node.verify', () => verifyReport(world));
  mesh.handle('member.removed', async (from) => {
    // Only the leader says so, and only after the change was committed.
    if (from !== replica.status().leader && replica.status().leader !== 0)
      throw new Error('only the leader removes');
    env.after(50, () => deps.left(`removed from cluster ${file.cluster_name}`));
    return null;
  });
  serveConsoles({ env, state, drivers, mesh });
  mesh.serveJoin(
    () => joinIsOpen(state, env.wall_s()),
    (peer_id, request) => admitJoiner({ state, leader, env }, peer_id, request),
  );
  tendRole();
  // It may have died on its way out.
  endWithCluster();
  const unwatch = watchEventLoop({
    now_ms: env.now_ms,
    after: env.after,
    stalled(lag_ms) {
      if (replica.status().role !== 'leader') return;
      env.log('error', 'the event loop does not keep up: giving up the lead', { lag_ms: Math.round(lag_ms) });
      replica.stepDown(`the event loop lags by ${Math.round(lag_ms)} ms`);
    },
  });

  return {
    options,
    env,
    drivers,
    mesh,
    replica,
    leader,
    state,
    events,
    lease,
    master,
    file,
    node_uuid: file.node_uuid,
    placement,
    opcodeNames: [...opcodes.keys()],
    crash: deps.crash,
    liveNodes: () => (duties ? duties.live() : live_from_leader),
    lags: () => (duties ? lagsOf(replica.status().commit, replica.progress()) : lags_from_leader),
    async readBarrier(timeout_ms, with_live) {
      const answer = (await leader.call('lead.read', { with_live }, { timeout_ms, repeat: true })) as {
        index: number;
        live: [string, LiveNode][] | null;
        // Not from a leader of an older version.
        lags?: [number, number][];
      };
      if (answer.lags) lags_from_leader = new Map(answer.lags);
      if (answer.live) live_from_leader = new Map(answer.live);
      await replica.waitApplied(answer.index, timeout_ms);
      applied_at_ms = env.now_ms();
    },
    appliedAt: () => applied_at_ms,
    onApplied(handler) {
      applied_handlers.add(handler);
      return () => applied_handlers.delete(handler);
    },
    surveyRecovery,
    stateHash: () => ({ index: state.index, hash: state.hash() }),
    async retire(reason) {
      who.stop();
      await own_number.stop();
      guard?.stop();
      await steps.close(reason);
    },
    async close(hand_over) {
      if (
        hand_over &&
        replica.status().role === 'leader' &&
        replica.status().configuration.voters.length > 1
      ) {
        await replica
          .transferLeadership()
          .catch((error: Error) => env.log('info', 'the lead was not handed over', { error: error.message }));
      }
      closing = true;
      unwatch();
      who.stop();
      const written = own_number.stop();
      leftovers.stop();
      tendRole();
      await master.close();
      lease.stop();
      guard?.stop();
      await written;
      await placement.close();
      await replica.close();
      await mesh.close();
      await machine.close();
    },
  };
}
