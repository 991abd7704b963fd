/**
 * Raft as far as leases rely on it: terms, quorum rounds, commits, and proposals that may outlive their leader. Log
 * matching is taken for granted: what is committed is one list. For tests.
 */

import { no_memory } from '../../src/node/ha/observe.ts';
import { GrantDesk } from '../../src/node/lease/grant-desk.ts';
import { applyEntry, type ModelEntry, model_ha } from './state.ts';
import type { Host, Lead, World } from './world.ts';

export const supporters = (w: World, h: Host, term: number) =>
  w.hosts.filter(
    (other) => (other === h || w.reach(h, other)) && other.up && other.agent_up && other.term <= term,
  );

export function confirmed(w: World, h: Host, term: number): boolean {
  const with_us = supporters(w, h, term);
  if (with_us.length < w.majority) return false;
  for (const other of with_us) other.term = term;
  return true;
}

export function round(w: World, h: Host, duty: Lead): void {
  if (!duty.desk.beginRound()) return;
  const life = h.agent_life;
  let quorum = w.variant === 'grant-without-round';
  w.at(w.now + w.between(1, 25), () => {
    quorum ||= w.agentRuns(h) && confirmed(w, h, duty.term);
    w.at(w.now + w.between(1, 25), () =>
      w.onAgent(
        h,
        () => {
          if (h.lead !== duty) return;
          duty.desk.endRound(quorum ? { term: duty.term, index: h.applied } : null, model_ha);
          round(w, h, duty);
        },
        life,
      ),
    );
  });
}

export function propose(w: World, h: Host, duty: Lead, entry: ModelEntry, settled: () => void): void {
  const life = h.agent_life;
  const proposal = { entry, term: duty.term };
  w.in_flight.add(proposal);
  const attempt = () => {
    if (h.lead !== duty || h.agent_life !== life || !w.in_flight.has(proposal)) return;
    w.onAgent(
      h,
      () => {
        if (h.lead !== duty || !w.in_flight.has(proposal)) return;
        if (confirmed(w, h, duty.term)) {
          w.in_flight.delete(proposal);
          commit(w, entry);
          h.applied = w.states.length - 1;
          settled();
        } else w.at(w.now + 200, attempt);
      },
      life,
    );
  };
  w.at(w.now + (w.random() < 0.4 ? w.between(100, 900) : w.between(5, 40)), attempt);
}

export function commit(w: World, entry: ModelEntry): void {
  w.states.push(applyEntry(w.states[w.states.length - 1]!, entry));
  w.trace(w.now, `entry ${w.states.length - 1}: ${JSON.stringify(entry)}`);
}

export function stepDown(h: Host): void {
  h.lead?.desk.clear();
  h.lead = null;
}

export function elections(w: World): void {
  for (const h of w.hosts) {
    if (
      h.lead !== null &&
      w.agentRuns(h) &&
      (supporters(w, h, h.lead.term).length < w.majority || h.term > h.lead.term) &&
      w.random() < w.step_down
    )
      stepDown(h);
  }
  const newest = w.hosts.filter((h) => h.lead !== null).sort((a, b) => b.lead!.term - a.lead!.term)[0];
  const healthy =
    newest !== undefined &&
    w.agentRuns(newest) &&
    supporters(w, newest, newest.lead!.term).length >= w.majority;
  if (!healthy || w.random() < 0.004) elect(w, w.pick(w.hosts));
}

export function elect(w: World, h: Host): void {
  if (!w.agentRuns(h)) return;
  const voters = w.hosts.filter((other) => other === h || w.reach(h, other));
  if (voters.length < w.majority) return;
  const term = Math.max(...voters.map((other) => other.term)) + 1;
  for (const voter of voters) voter.term = term;
  stepDown(h);
  const duty: Lead = {
    term,
    established: false,
    since_ms: 0,
    desk: new GrantDesk(),
    memory: no_memory,
    busy: new Set(),
    proposed_boots: new Set(),
  };
  h.lead = duty;
  w.mark('election', `${h.id} term ${term}`);
  const establish = () =>
    w.onAgent(h, () => {
      if (h.lead !== duty) return;
      if (!confirmed(w, h, term)) {
        if (h.term > term) stepDown(h);
        else w.at(w.now + 200, establish);
        return;
      }
      for (const proposal of w.in_flight) {
        if (proposal.term >= term) continue;
        // This term's own entry is committed now: what is not below it in this log never will be.
        w.in_flight.delete(proposal);
        if (proposal.term < w.established_term || w.random() < 0.5) continue;
        w.mark('adopted', JSON.stringify(proposal.entry));
        commit(w, proposal.entry);
      }
      w.established_term = term;
      h.applied = w.states.length - 1;
      duty.since_ms = w.clock(h);
      duty.established = true;
    });
  w.at(w.now + w.between(5, 120), establish);
}
