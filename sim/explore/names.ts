/**
 * One text for each thing that a state is made of: entries, messages, configurations. Equal things have equal texts, and
 * the texts are what a trace shows.
 * A member is written `@1`, and only so, and sets of members `{@1@2}`: that is what makes a text renameable, on which
 * symmetry reduction rests. Nothing here may write a member's number in any other way.
 */
import { decodeConfiguration } from '../../src/consensus/configuration.ts';
import type { Configuration, Entry, HardState, MemberId, Message } from '../../src/consensus/types.ts';

/** The members of every explored cluster. */
export const member_ids: readonly MemberId[] = [1, 2, 3];

/** All ways to rename the members; the first changes nothing. `permutations[p][id - 1]` is the new name of `id`. */
export const permutations: readonly (readonly MemberId[])[] = [
  [1, 2, 3],
  [1, 3, 2],
  [2, 1, 3],
  [2, 3, 1],
  [3, 1, 2],
  [3, 2, 1],
];

/** The text with every member renamed, its lines sorted: their order says nothing. */
export function renamed(text: string, permutation: readonly MemberId[]): string {
  const swapped = text.replace(/@(\d)/g, (name, id: string) => {
    const to = permutation[Number(id) - 1];
    return to === undefined ? name : `@${to}`;
  });
  const sets_sorted = swapped.replace(/\{([@\d]*)\}/g, (_, names: string) => {
    return `{${(names.match(/@\d/g) ?? []).sort().join('')}}`;
  });
  return sets_sorted.split('\n').sort().join('\n');
}

export function configurationText(c: Configuration): string {
  const set = (ids: readonly MemberId[]): string => `{${ids.map((id) => `@${id}`).join('')}}`;
  const outgoing = c.voters_outgoing.length > 0 ? `&${set(c.voters_outgoing)}` : '';
  const learners = c.learners.length > 0 ? ` learners ${set(c.learners)}` : '';
  const next = c.learners_next.length > 0 ? ` next ${set(c.learners_next)}` : '';
  return `${set(c.voters)}${outgoing}${learners}${next}`;
}

/** `index/term`, and what it holds; a command's payload is text. */
export function entryText(e: Entry): string {
  const at = `${e.index}/${e.term}`;
  if (e.kind === 'empty') return at;
  if (e.kind === 'config') return `${at}=${configurationText(decodeConfiguration(e.data))}`;
  return `${at}=${new TextDecoder().decode(e.data)}`;
}

export function hardStateText({ term, vote, commit }: HardState): string {
  return `t${term} vote @${vote} commit ${commit}`;
}

export function messageText(m: Message): string {
  const head = `@${m.from}>@${m.to} t${m.term}`;
  switch (m.type) {
    case 'vote': {
      const kind = m.pre ? 'pre-vote' : 'vote';
      return `${kind} ${head} last ${m.last_index}/${m.last_term}${m.transfer ? ' transfer' : ''}`;
    }
    case 'vote-reply':
      return `${m.pre ? 'pre-vote' : 'vote'}-reply ${head} ${m.granted ? 'granted' : 'refused'}`;
    case 'append': {
      const entries = m.entries.map(entryText).join(' ');
      return `append ${head} after ${m.prev_index}/${m.prev_term} [${entries}] commit ${m.commit}`;
    }
    case 'append-reply':
      return m.ok
        ? `append-reply ${head} has ${m.index}`
        : `append-reply ${head} rejects ${m.index} hint ${m.hint_index}/${m.hint_term}`;
    case 'heartbeat':
      return `heartbeat ${head} round ${m.round} commit ${m.commit}`;
    case 'heartbeat-reply':
      return `heartbeat-reply ${head} round ${m.round}`;
    case 'snapshot':
      return `snapshot ${head} of ${m.meta.index}/${m.meta.term}`;
    case 'timeout-now':
      return `timeout-now ${head}`;
  }
}
