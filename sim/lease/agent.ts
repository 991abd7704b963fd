/** The model's agents: they renew, pause, kill, resume and start, each check and its act in one moment. For tests. */

import type { LeaseGrant, LeaseRenewal } from '../../src/node/ha-types.ts';
import { leaseIsLive, nextLease } from '../../src/node/keeper/fence-action.ts';
import { stageOf, startRefusal, takeGrant } from '../../src/node/lease/node-lease.ts';
import { endGuest, settle, tell } from './keeper.ts';
import { lead } from './lead.ts';
import { round } from './raft.ts';
import { model_ha } from './state.ts';
import type { Guest, Host, World } from './world.ts';

export function tick(w: World, h: Host): void {
  renew(w, h);
  pull(w, h);
  guard(w, h);
  if (h.lead?.established) lead(w, h, h.lead);
}

export function renew(w: World, h: Host): void {
  const leaders = w.hosts.filter((other) => other.lead?.established && w.linked(h, other));
  if (h.leader === null || !leaders.includes(h.leader) || w.random() < 0.2) {
    h.leader =
      w.random() < 0.3
        ? leaders.length
          ? w.pick(leaders)
          : null
        : (leaders.sort((a, b) => b.lead!.term - a.lead!.term)[0] ?? null);
  }
  const to = h.leader;
  if (to === null) return;
  h.sequence += 1;
  const renewal: LeaseRenewal = {
    node: h.id,
    boot: h.boot,
    sequence: h.sequence,
    sent_at_ms: w.clock(h),
    applied: h.applied,
    watchdog: 'none',
    urgent: false,
    lease_ms: model_ha.lease_ms,
    guard_slack_ms: model_ha.guard_slack_ms,
    live: {
      total_memory_mib: 0,
      free_memory_mib: 0,
      cpus: 1,
      total_disk_mib: 0,
      free_disk_mib: 0,
      guests: [...h.guests.values()].map((g) => ({
        name: g.instance,
        uuid: g.instance,
        epoch: g.epoch,
        state: 'running',
        memory_mib: 1,
        vcpus: 1,
      })),
      os: [],
    },
  };
  const { agent_life, boot } = h;
  w.send(h, to, () => {
    const duty = to.lead;
    if (duty === null || !duty.established) return;
    const input = {
      now_ms: w.clock(to),
      ha: model_ha,
      logged_boot: w.stateOf(to).boots.get(h.id) ?? null,
      applied: to.applied,
    };
    duty.desk.offer(renewal, input, (answer) => {
      if (!answer.ok) return;
      w.send(to, h, () => {
        if (h.agent_life === agent_life && h.boot === boot) granted(w, h, answer.grant, renewal);
      });
    });
    round(w, to, duty);
  });
}

export function granted(w: World, h: Host, grant: LeaseGrant, renewal: LeaseRenewal): void {
  const before = h.lease;
  const seen = w.variant === 'lease-from-reply' ? { ...grant, sent_at_ms: w.clock(h) } : grant;
  h.lease = takeGrant(h.lease, seen, w.variant === 'lease-from-reply' ? undefined : renewal);
  if (h.lease === before) return;
  const { deadline_ms, guard_slack_ms } = h.lease.lease;
  tell(w, h, () => {
    h.fence = nextLease(w.clock(h), h.fence, { deadline_ms, guard_slack_ms, reset: false });
  });
}

export function pull(w: World, h: Host): void {
  const from = h.leader;
  if (from === null || !w.reach(from, h) || !w.agentRuns(from) || from.lead === null) return;
  const upto = from.applied;
  const lag = w.random() < 0.1 ? w.between(300, 3000) : w.between(2, 60);
  const life = h.agent_life;
  const applied = () => {
    h.applied = Math.max(h.applied, upto);
  };
  w.at(w.now + lag, () => w.onAgent(h, applied, life));
}

/** Pause, kill, resume, start: what the agent owes its guests, each check and act in one moment. */
export function guard(w: World, h: Host): void {
  const lease = h.lease.lease;
  const stage = stageOf(w.clock(h), lease);
  const { agent_life } = h;
  for (const guest of [...h.guests.values()]) {
    if (stage === 'pause' && !guest.stopped && w.random() < 0.9) {
      w.at(w.now + w.between(2, 150), () => {
        if (h.guests.get(guest.instance) !== guest) return;
        guest.stopped = true;
        settle(w, h, guest);
        w.onAgent(h, () => setProven(w, h, guest, true), agent_life);
      });
    } else if (stage === 'kill' && !guest.stopped) tell(w, h, () => endGuest(w, h, guest));
  }
  const { applied } = h;
  const index = w.variant === 'index-not-applied' ? Number.POSITIVE_INFINITY : applied;
  if (startRefusal(w.clock(h), lease, index) !== null) return;
  for (const guest of [...h.guests.values()]) {
    if (!isOurs(w, h, guest.instance, guest.epoch)) tell(w, h, () => endGuest(w, h, guest));
    else if (guest.stopped) resume(w, h, guest);
  }
  for (const [instance, owner] of w.stateOf(h).owners) {
    if (!h.guests.has(instance) && isOurs(w, h, instance, owner.epoch)) begin(w, h, instance, owner.epoch);
  }
}

export function isOurs(w: World, h: Host, instance: string, epoch: number): boolean {
  const owner = w.stateOf(h).owners.get(instance);
  if (owner === undefined || owner.node !== h.id || owner.epoch !== epoch) return false;
  return owner.boot === h.boot || w.variant === 'epoch-survives-reboot';
}

export function begin(w: World, h: Host, instance: string, epoch: number): void {
  tell(w, h, () => {
    if (h.guests.has(instance) || !leaseIsLive(w.clock(h), h.fence)) return;
    const guest: Guest = {
      instance,
      epoch,
      stopped: false,
      proven: false,
      frozen: false,
      resume_queued: false,
      running: false,
    };
    h.guests.set(instance, guest);
    settle(w, h, guest);
  });
}

function setProven(w: World, h: Host, guest: Guest, proven: boolean): void {
  tell(w, h, () => {
    guest.proven = proven;
  });
}

export function resume(w: World, h: Host, guest: Guest): void {
  setProven(w, h, guest, false);
  w.at(w.now + w.between(1, 30), () => {
    if (h.guests.get(guest.instance) !== guest) return;
    if (guest.frozen) guest.resume_queued = true;
    else guest.stopped = false;
    w.mark('resumed', h.id);
    settle(w, h, guest);
  });
}
