/**
 * What a leader accepts into its log, and what it refuses: refused means that nothing changed.
 */
import { encodeConfiguration, isJoint } from './configuration.ts';
import type { ProposeResult } from './core-api.ts';
import type { CoreState } from './core-state.ts';
import { appendOwn } from './leader.ts';
import { planChange } from './membership.ts';
import type { MemberChange } from './types.ts';

type Refusal = Extract<ProposeResult, { ok: false }>;

export function propose(s: CoreState, payloads: readonly Uint8Array[]): ProposeResult {
  const barred = notNow(s);
  if (barred !== null) return barred;
  if (payloads.length === 0) return refused('expected at least one payload, got none');
  const bytes = payloads.reduce((sum, data) => sum + data.length, 0);
  const { uncommitted_bytes } = s.lead;
  // One proposal that is too large by itself still gets through when nothing else waits.
  if (uncommitted_bytes > 0 && uncommitted_bytes + bytes > s.options.max_uncommitted_bytes) {
    const detail = `${uncommitted_bytes} bytes wait to be committed, ${bytes} more would exceed ${s.options.max_uncommitted_bytes}`;
    return { ok: false, reason: 'busy', detail };
  }
  return { ok: true, first_index: appendOwn(s, 'command', payloads), term: s.term };
}

/** One change of the configuration at a time, and none before an entry of the own term is committed (thesis, section 4.1). */
export function proposeChange(s: CoreState, changes: readonly MemberChange[]): ProposeResult {
  const barred = notNow(s);
  if (barred !== null) return barred;
  if (changes.length === 0) return refused('expected at least one change, got none');
  for (const { id } of changes) {
    if (!Number.isSafeInteger(id) || id <= 0) return refused(`member ${id}: expected a positive integer`);
  }
  const pending = s.configs.current_index;
  if (pending > s.applied)
    return refused(`the change of configuration in entry ${pending} is not applied yet`);
  if (isJoint(s.configuration)) return refused('the joint configuration has not been left yet');
  if (!s.ownTermCommitted) return refused(`no entry of term ${s.term} is committed yet`);
  const damaged = changes.find(({ type, id }) => type === 'add-voter' && s.faulty.has(id));
  if (damaged !== undefined)
    return refused(`the storage of member ${damaged.id} is damaged: ${s.faulty.get(damaged.id)}`);
  const plan = planChange(s.configuration, changes);
  if (!plan.ok) return refused(plan.error);
  const data = encodeConfiguration(plan.configuration);
  return { ok: true, first_index: appendOwn(s, 'config', [data]), term: s.term };
}

function notNow(s: CoreState): Refusal | null {
  if (s.role !== 'leader') return { ok: false, reason: 'not-leader', detail: `member ${s.id} is ${s.role}` };
  const { transfer } = s.lead;
  if (transfer === null) return null;
  return { ok: false, reason: 'transferring', detail: `the lead is being handed to member ${transfer.to}` };
}

function refused(detail: string): Refusal {
  return { ok: false, reason: 'refused', detail };
}
