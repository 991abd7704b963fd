/**
 * Keeps the Raft group as the deciders of this folder want it, while this member leads. One change at a time, apart from
 * the heartbeats; after a refusal it waits longer each time. Taking in a new host waits for no pace and no patience of
 * the voters: only for a change that is being committed, since Raft allows one at a time (thesis, section 4.1).
 */
import { ConsensusError, type ReplicaApi } from '../../consensus/api.ts';
import type { MemberId } from '../../consensus/types.ts';
import { adjustVoters, leaveStep } from './adjust.ts';
import { admitMembers } from './admit.ts';
import { MemberWatch } from './member-watch.ts';
import { memberToRenew } from './renew.ts';
import { type MemberStanding, memberStandings } from './standing.ts';
import type { VoterStep } from './step.ts';
import { type VoterNode, type VoterView, voterLimits } from './view.ts';

export interface VoterTenderDeps {
  readonly env: {
    now_ms(): number;
    after(delay_ms: number, fn: () => void): () => void;
    log(level: 'info' | 'warn', message: string, fields?: Record<string, unknown>): void;
  };
  readonly replica: Pick<ReplicaApi, 'status' | 'progress' | 'changeMembers' | 'transferLeadership'>;
  readonly self: MemberId;
  /** Whether the connection to a member is up. */
  isUp(member: MemberId): boolean;
  /** Empty as long as the cluster is not founded. */
  nodes(): readonly VoterNode[];
  candidatePoolSize(): number;
  leaseMs(): number;
  /** Gives the node that has this number another one, by a command of the log. */
  renew(member: MemberId): Promise<void>;
}

export interface VoterTender {
  /** The nodes or the cluster's parameters changed. */
  wake(): void;
  /**
   * Takes a member out of the group for good; resolves at once for one that is not in it.
   * @throws ConsensusError `not-proposed`: not now, try again; `unknown`: in doubt, or the lead was handed over and the
   * next leader is to be asked.
   */
  removeMember(member: MemberId): Promise<void>;
  /** What is missing or being waited for, in words; '' when all is as it should be. */
  reason(): string;
  /** How each member stands now. */
  standings(): readonly MemberStanding[];
  stop(): void;
}

/** Several changes of the nodes that come together are one. */
const debounce_ms = 50;
/** A removed member's node stays in the configuration for a moment; it is not taken in again meanwhile. */
const leaving_for_ms = 30_000;
/** So many leases pass before a node is given a new number again. */
const renewal_rest_leases = 60;

class Backoff {
  #delay_ms = 0;
  #until_ms = 0;

  refused(now_ms: number): void {
    this.#delay_ms = Math.min(30_000, Math.max(500, 2 * this.#delay_ms));
    this.#until_ms = now_ms + this.#delay_ms;
  }

  accepted(): void {
    this.#delay_ms = 0;
  }

  holds(now_ms: number): boolean {
    return now_ms < this.#until_ms;
  }
}

export function createVoterTender(deps: VoterTenderDeps): VoterTender {
  const { env, replica } = deps;
  const began_ms = env.now_ms();
  const watch = new MemberWatch(voterLimits(deps.leaseMs()).caught_up_entries);
  const leaving = new Map<MemberId, number>();
  const admissions = new Backoff();
  const voters = new Backoff();
  const renewals = new Backoff();
  /** When a node was last given a new number, by its name: the number changes. */
  const renewed = new Map<string, number>();
  let changed_ms = began_ms;
  let reason = '';
  let stopped = false;
  let busy: Promise<void> | null = null;
  let again = false;
  let cancel: () => void = () => undefined;

  function takeView(): VoterView {
    const now_ms = env.now_ms();
    const status = replica.status();
    const sights = replica
      .progress()
      .filter(({ id }) => id !== deps.self)
      .map(({ id, active, match, state }) => ({
        id,
        active: active && deps.isUp(id),
        // Few entries may be many bytes of snapshot: nobody is to wait for such an heir.
        lag: match === 0 || state === 'snapshot' ? Number.POSITIVE_INFINITY : status.last_index - match,
      }));
    const faulty = new Map(status.faulty.map(({ id, reason: fault }) => [id, fault]));
    return {
      self: deps.self,
      configuration: status.configuration,
      nodes: deps.nodes().map((node) => {
        const fault = faulty.get(node.member);
        return fault === undefined ? node : { ...node, trouble: `has damaged storage (${fault})` };
      }),
      progress: watch.look(now_ms, sights),
      candidate_pool_size: deps.candidatePoolSize(),
      since_change_ms: now_ms - changed_ms,
      leads_for_ms: now_ms - began_ms,
      limits: voterLimits(deps.leaseMs()),
    };
  }

  async function perform(step: Exclude<VoterStep, { type: 'none' }>): Promise<void> {
    if (step.type === 'hand-over') {
      env.log('info', 'the lead is handed over', { reason: step.reason, to: step.to });
      await replica.transferLeadership(step.to);
      return;
    }
    env.log('info', 'the voters change', { reason: step.reason, changes: step.changes });
    // Whatever becomes of it: it may have come about.
    changed_ms = env.now_ms();
    await replica.changeMembers(step.changes);
    changed_ms = env.now_ms();
  }

  /** @returns whether there was something to do */
  async function attempt(backoff: Backoff, what: string, act: () => Promise<void>): Promise<boolean> {
    if (backoff.holds(env.now_ms())) return false;
    try {
      await act();
      backoff.accepted();
    } catch (error) {
      backoff.refused(env.now_ms());
      env.log('info', `${what} did not come about`, { error: (error as Error).message });
    }
    return true;
  }

  async function admit(): Promise<boolean> {
    const { configuration, nodes } = takeView();
    if (nodes.length === 0) return false;
    const now_ms = env.now_ms();
    const members = nodes.map((node) => node.member);
    for (const [id, at_ms] of leaving)
      if (!members.includes(id) || now_ms - at_ms > leaving_for_ms) leaving.delete(id);
    const changes = admitMembers(configuration, members, new Set(leaving.keys()));
    if (changes.length === 0) return false;
    return attempt(admissions, 'a change of the learners', async () => {
      env.log('info', 'the learners change', { changes });
      await replica.changeMembers(changes);
    });
  }

  async function adjust(): Promise<boolean> {
    const view = takeView();
    if (view.nodes.length === 0) return false;
    const step = adjustVoters(view);
    reason = step.reason;
    if (step.type === 'none') return false;
    return attempt(voters, 'a change of the voters', () => perform(step));
  }

  async function renew(): Promise<boolean> {
    const view = takeView();
    const now_ms = env.now_ms();
    const rest_ms = renewal_rest_leases * deps.leaseMs();
    const names = new Map(view.nodes.map(({ member, name }) => [member, name]));
    const member = memberToRenew(
      view,
      replica.status().faulty.map(({ id }) => {
        const last_ms = renewed.get(names.get(id) ?? '') ?? Number.NEGATIVE_INFINITY;
        return { id, answers: deps.isUp(id), rested: now_ms - last_ms >= rest_ms };
      }),
    );
    if (member === undefined) return false;
    return attempt(renewals, 'a renewal', async () => {
      const name = names.get(member) ?? '';
      env.log('warn', 'a faulty member begins anew under a new number', { name, member });
      renewed.set(name, env.now_ms());
      await deps.renew(member);
    });
  }

  /** One look: hosts that came or went first, and in a look of their own. */
  async function act(): Promise<void> {
    if (stopped) return;
    const acted = (await admit()) || (!stopped && (await renew())) || (!stopped && (await adjust()));
    again = acted || again;
  }

  function look(): void {
    if (stopped) return;
    cancel();
    if (busy !== null) {
      again = true;
      return;
    }
    again = false;
    hold(act()).catch((error: Error) => env.log('warn', 'voters', { error: error.stack }));
  }

  /** Nothing else is changed until `work` is over. */
  function hold(work: Promise<void>): Promise<void> {
    const over = () => {
      busy = null;
      schedule();
    };
    busy = work.then(over, over);
    return work;
  }

  function schedule(): void {
    if (stopped) return;
    cancel();
    const lease_ms = deps.leaseMs();
    const calm_ms = lease_ms / 2;
    const delay_ms = again ? debounce_ms : reason !== '' ? calm_ms / 10 : calm_ms;
    cancel = env.after(delay_ms, look);
  }

  async function removeMember(member: MemberId): Promise<void> {
    leaving.set(member, env.now_ms());
    try {
      for (;;) {
        while (busy !== null) await busy;
        const step = leaveStep(takeView(), member);
        if (step.type === 'none') {
          if (step.reason === '') return;
          throw new ConsensusError('busy', step.reason, 'not-proposed', deps.self);
        }
        await hold(perform(step));
        if (step.type === 'hand-over')
          throw new ConsensusError('lost', step.reason, 'unknown', replica.status().leader);
      }
    } catch (error) {
      leaving.delete(member);
      throw error;
    }
  }

  look();
  return {
    wake() {
      if (stopped) return;
      again = true;
      if (busy === null) schedule();
    },
    removeMember,
    reason: () => reason,
    standings: () =>
      memberStandings(
        takeView(),
        new Map(replica.status().faulty.map(({ id, reason: fault }) => [id, fault])),
      ),
    stop() {
      stopped = true;
      cancel();
    },
  };
}
