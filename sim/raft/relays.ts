/**
 * Looks at relays (docs/design/relays.md): what one forwards is committed, wherever it is in its own log, and the run's
 * marks say how far relays met the faults. It judges frames only, and asks nobody but the leader who hangs below whom.
 */
import type { MemberId } from '../../src/consensus/index.ts';
import { decodeFrame, encodeFrame } from '../../src/consensus/wire.ts';
import { typeByte } from './alter.ts';
import type { Member } from './member.ts';
import type { World } from './world.ts';

const nothing = { prev_index: 0, prev_term: 0, entries: [], commit: 0 } as const;
const append_type = typeByte(encodeFrame({ type: 'append', from: 1, to: 2, term: 1, ...nothing }));

/** A frame that leaves a member that does not lead: if it carries entries, each must be committed. */
export function judgeRelayed(w: World, sender: Member, bytes: Uint8Array): void {
  if (typeByte(bytes) !== append_type || sender.status?.role === 'leader') return;
  const frame = decodeFrame(bytes);
  if (frame.type !== 'append' || frame.relayed !== true) return;
  for (const { index, term } of frame.entries)
    if (!w.oracle.isCommitted(index, term))
      w.oracle.fail(`relay ${frame.from} forwards entry ${index} of term ${term}, which is not committed`);
  if (frame.entries.length > 0) w.once(frame.to, 'learner fed by a relay');
}

/** The relay that feeds `id`, as the leader has it; 0: the leader itself, or there is none. */
export function relayOf(w: World, id: MemberId): MemberId {
  return progress(w).find((of) => of.id === id)?.via ?? 0;
}

/** Whether others hang below `id`, as the leader has it. */
export function isRelay(w: World, id: MemberId): boolean {
  return progress(w).some(({ via }) => via === id);
}

/** Just before a process ends. */
export function relayEnds(w: World, member: Member): void {
  if (isRelay(w, member.id)) w.marks.hit('relay lost');
}

function progress(w: World) {
  return w.knobs.relays === null ? [] : (w.leader?.running?.replica.progress() ?? []);
}
