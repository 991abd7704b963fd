/**
 * Handing the lead to another voter (thesis, section 3.10): bring it up to date, then tell it to campaign at once.
 * While that is under way nothing is proposed; it is given up after an election timeout.
 */
import type { ProposeResult } from './core-api.ts';
import type { CoreState } from './core-state.ts';
import { giveUpTransfer, handOver, mostAdvanced } from './leader.ts';
import type { MemberId } from './types.ts';

/** @param to 0: the voter with the longest matching log */
export function transfer(s: CoreState, to: MemberId): ProposeResult {
  if (s.role !== 'leader') return { ok: false, reason: 'not-leader', detail: `member ${s.id} is ${s.role}` };
  const target = to === 0 ? mostAdvanced(s) : to;
  if (target === 0) {
    return {
      ok: false,
      reason: 'refused',
      detail: 'no other voter has been heard within an election timeout',
    };
  }
  if (target === s.id) return { ok: false, reason: 'refused', detail: `member ${s.id} leads already` };
  if (!s.configuration.voters.includes(target)) {
    const voters = s.configuration.voters.join(', ');
    return { ok: false, reason: 'refused', detail: `member ${target} is not a voter (voters: ${voters})` };
  }
  const fault = s.faulty.get(target);
  if (fault !== undefined)
    return { ok: false, reason: 'refused', detail: `the storage of member ${target} is damaged: ${fault}` };
  if (s.lead.transfer?.to !== target) {
    giveUpTransfer(s);
    s.lead.transfer = { to: target, elapsed: 0, told: false };
  }
  continueTransfer(s);
  return { ok: true, first_index: s.log.lastIndex, term: s.term };
}

/** Tells the heir to campaign once it has everything. */
export function continueTransfer(s: CoreState): void {
  const { transfer: under_way, progress } = s.lead;
  if (under_way === null || under_way.told) return;
  if (progress.get(under_way.to)?.match !== s.log.lastIndex) return;
  under_way.told = true;
  s.outbox.send({ type: 'timeout-now', from: s.id, to: under_way.to, term: s.term });
}

/** Gives up the lead at once. No effect on others than a leader. */
export function stepDown(s: CoreState): void {
  if (s.role === 'leader') handOver(s);
}
