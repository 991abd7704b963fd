/**
 * The node's side of the lease: renews every H, directly or through any peer that still reaches the leader, tells the
 * keeper each new deadline, and answers whether a guest may start now.
 */
import type { HaParams } from '../config/model.ts';
import type { ReplicaApi } from '../consensus/api.ts';
import type { LeaseGrant, LeaseRenewal, LeaseStage } from './ha-types.ts';
import { createNodeLease, nextHarmAtMs } from './lease/node-lease.ts';
import type { Mesh } from './mesh-types.ts';
import type { Env } from './real-env.ts';

export interface LeaseLoopDeps {
  readonly env: Env;
  readonly replica: Pick<ReplicaApi, 'status' | 'on'>;
  readonly mesh: Pick<Mesh, 'call' | 'isUp'>;
  readonly node_uuid: string;
  readonly boot: number;
  readonly self_member: number;
  peers(): readonly number[];
  applied(): number;
  ha(): HaParams;
  facts(): Promise<LeaseRenewal['live']>;
  setLease(deadline_ms: number, guard_slack_ms: number): void;
  /** The stage may have changed. */
  changed(): void;
}

export interface LeaseLoop {
  stage(): LeaseStage;
  /** null: yes. */
  mayStart(): string | null;
  left_ms(): number;
  /** Until guests are next to be paused or killed if no grant comes; null: no such stage is ahead. */
  nextHarm_ms(): number | null;
  /** Renews now: the live data changed. */
  renewSoon(): void;
  stop(): void;
}

interface InFlight {
  readonly abort: AbortController;
  readonly at_ms: number;
}

/** Renewals without an answer that one member may have from us. */
const max_calls_per_member = 3;
/** Peers asked at a time to pass a renewal on. */
const max_relays = 4;

export function createLeaseLoop(deps: LeaseLoopDeps): LeaseLoop {
  const { env, replica, mesh } = deps;
  const lease = createNodeLease();
  let sequence = 0;
  let stopped = false;
  /** Calls without an answer, oldest first, by the member asked. */
  const in_flight = new Map<number, readonly InFlight[]>();
  let cancel: () => void = () => undefined;
  let last_facts: LeaseRenewal['live'] | null = null;
  let collecting: Promise<void> | null = null;
  let queued: Promise<void> | null = null;

  function collect(): Promise<void> {
    return deps
      .facts()
      .then((found) => {
        last_facts = found;
      })
      .catch((error: Error) => env.log('warn', 'this host could not be looked at', { error: error.message }));
  }

  /** A look that begins after this call: one under way may have missed what has just changed. */
  function lookAgain(): Promise<void> {
    if (collecting === null) {
      collecting = collect().finally(() => {
        collecting = null;
      });
      return collecting;
    }
    queued ??= collecting.then(() => {
      queued = null;
      return lookAgain();
    });
    return queued;
  }

  /**
   * What this host has, as of now or, when looking takes too long (a storage that hangs, say), as it was last: a host
   * that can renew must not lose its guests to a slow look at them. null: never seen yet.
   */
  async function facts(patience_ms: number): Promise<LeaseRenewal['live'] | null> {
    let stopWaiting: () => void = () => undefined;
    const patience = new Promise<void>((resolve) => {
      stopWaiting = env.after(patience_ms, resolve);
    });
    await Promise.race([lookAgain(), patience]);
    stopWaiting();
    return last_facts;
  }

  function renewal(live: LeaseRenewal['live'], urgent: boolean): LeaseRenewal {
    sequence += 1;
    const ha = deps.ha();
    const held = lease.state();
    return {
      node: deps.node_uuid,
      boot: deps.boot,
      sequence,
      sent_at_ms: env.now_ms(),
      applied: deps.applied(),
      watchdog: 'none',
      urgent,
      lease_ms: Math.max(ha.lease_ms, held.lease_ms),
      guard_slack_ms: Math.max(ha.guard_slack_ms, held.guard_slack_ms),
      live,
    };
  }

  function take(grant: LeaseGrant, sent: LeaseRenewal): void {
    if (stopped || !lease.take(grant, sent)) return;
    const now = lease.state();
    deps.setLease(now.deadline_ms, now.guard_slack_ms);
    deps.changed();
  }

  /** Whom to ask: the leader; when that path is in doubt, some peers that are up, others each time, to pass it on. */
  function targets(): readonly { member: number; method: string }[] {
    const { leader } = replica.status();
    const direct = leader === 0 ? [] : [{ member: leader, method: 'lead.renew' }];
    if (stage() === 'ok' && leader !== 0 && (leader === deps.self_member || mesh.isUp(leader))) return direct;
    const up = deps.peers().filter((peer) => peer !== deps.self_member && peer !== leader && mesh.isUp(peer));
    const first = up.length === 0 ? 0 : (sequence * max_relays) % up.length;
    const relays = [...up.slice(first), ...up.slice(0, first)].slice(0, max_relays);
    return [...direct, ...relays.map((member) => ({ member, method: 'relay.renew' }))];
  }

  /**
   * Room for one more call to a member, or null: it has its share, and the oldest is young enough to be answered yet. An
   * old one (a frozen leader's) makes room, so that whoever leads next is asked at once.
   */
  function room(member: number): AbortController | null {
    const calls = in_flight.get(member) ?? [];
    const oldest = calls[0];
    if (oldest && calls.length >= max_calls_per_member) {
      if (env.now_ms() - oldest.at_ms < deps.ha().renew_ms) return null;
      oldest.abort.abort('a later renewal takes its place');
      answered(member, oldest.abort);
    }
    const abort = new AbortController();
    in_flight.set(member, [...(in_flight.get(member) ?? []), { abort, at_ms: env.now_ms() }]);
    return abort;
  }

  function answered(member: number, abort: AbortController): void {
    const left = (in_flight.get(member) ?? []).filter((call) => call.abort !== abort);
    if (left.length > 0) in_flight.set(member, left);
    else in_flight.delete(member);
  }

  async function renew(urgent: boolean): Promise<void> {
    const { renew_ms, lease_ms } = deps.ha();
    const live = await facts(renew_ms / 2);
    if (stopped || live === null) return;
    for (const { member, method } of targets()) {
      const abort = room(member);
      if (abort === null) continue;
      const sent = renewal(live, urgent || stage() !== 'ok');
      mesh
        .call(
          member,
          method,
          { renewal: sent },
          { timeout_ms: Math.max(lease_ms, renew_ms), signal: abort.signal },
        )
        .then((grant) => take(grant as LeaseGrant, sent))
        .catch((error: Error) => env.log('debug', 'lease renewal', { member, method, error: error.message }))
        .finally(() => answered(member, abort));
    }
  }

  // Before the first grant of this agent's life nothing is known of an earlier agent's lease: nothing is started, and
  // what runs is left to the keeper, whose deadline still stands.
  const stage = (): LeaseStage => (lease.state().deadline_ms === 0 ? 'suspect' : lease.stage(env.now_ms()));

  function tick(urgent: boolean): void {
    if (stopped) return;
    cancel();
    renew(urgent).catch((error: Error) => env.log('error', 'lease renewal', { error: error.message }));
    cancel = env.after(deps.ha().renew_ms, () => tick(false));
    deps.changed();
  }
  const off = replica.on('role', () => tick(true));
  tick(true);

  return {
    stage,
    mayStart: () => lease.mayStart(env.now_ms(), deps.applied()),
    left_ms: () => Math.max(0, lease.state().deadline_ms - env.now_ms()),
    nextHarm_ms() {
      const now_ms = env.now_ms();
      const at_ms = nextHarmAtMs(now_ms, lease.state());
      return at_ms === null ? null : at_ms - now_ms;
    },
    renewSoon: () => tick(true),
    stop() {
      stopped = true;
      off();
      cancel();
      for (const { abort } of [...in_flight.values()].flat()) abort.abort('the agent stops');
    },
  };
}
