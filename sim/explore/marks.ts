/**
 * States worth reaching: an exploration that never gets to one of them proves nothing about it.
 */
import { isJoint } from '../../src/consensus/arithmetic.ts';
import type { Cluster } from './cluster.ts';

/** The names of what is to be seen in a state. */
export function marksOf({ members, chronicle }: Cluster): string[] {
  const marks: string[] = [];
  const { committed, committed_in } = chronicle.value;
  const leaders = members.filter((member) => member.value.status.role === 'leader');
  const terms = new Set(committed_in);
  if (leaders.length > 1) marks.push('two leaders, of different terms');
  if (terms.size > 1) marks.push(`entries committed in ${terms.size} terms`);
  if (committed.some((entry, i) => !entry.includes(`/${committed_in[i]}`))) {
    marks.push("an older term's entry committed beneath one of its own");
  }
  if (members.some(({ value }) => isJoint(value.status.configuration))) marks.push('a joint configuration');
  if (new Set(members.map(({ value }) => value.log.at(committed.length))).size > 2) {
    marks.push('three logs, no two alike beyond the commit');
  }
  if (members.some(({ value }) => value.durable.some((entry, i) => value.log[i] !== entry))) {
    marks.push('an entry being replaced that is still on disk');
  }
  return marks;
}
