/**
 * One case of the quorum data: the arithmetic of `src/consensus` asked, and its answer written as the data writes it.
 * Beside the answer itself each case must keep what holds for every quorum; what breaks it is told in the output, which
 * then differs from what is expected.
 */
import {
  majorityReached,
  majorityVote,
  quorumReached,
  quorumVote,
  type VoteResult,
} from '../../src/consensus/arithmetic.ts';
import type { MemberId } from '../../src/consensus/types.ts';
import { type Case, valuesOf } from './datadriven.ts';

/** Voters of both halves; `joint` null: the path of a single majority. */
interface Halves {
  readonly voters: readonly MemberId[];
  readonly joint: readonly MemberId[] | null;
}

type Reached = (id: MemberId) => number | undefined;

const vote_names: Readonly<Record<VoteResult, string>> = {
  won: 'VoteWon',
  pending: 'VotePending',
  lost: 'VoteLost',
};

/** What the case's output is with our arithmetic. @throws RangeError when the case is not one of this kind */
export function runQuorumCase(of: Case): string {
  const halves = halvesOf(of);
  switch (of.command) {
    case 'committed':
      return committed(halves, givenTo(halves, of, 'idx', indexOf));
    case 'vote':
      return voted(halves, givenTo(halves, of, 'votes', voteOf));
    default:
      throw new RangeError(`line ${of.line}: unknown command ${of.command}`);
  }
}

function halvesOf(of: Case): Halves {
  const unknown = of.args.find(([key]) => !['cfg', 'cfgj', 'idx', 'votes'].includes(key));
  if (unknown !== undefined) throw new RangeError(`line ${of.line}: unknown argument ${unknown[0]}`);
  const ids = (texts: readonly string[]) => texts.map((text) => numberOf(text));
  const joint = valuesOf(of, 'cfgj');
  return {
    voters: ids(valuesOf(of, 'cfg') ?? []),
    joint: joint === undefined ? null : joint[0] === 'zero' ? [] : ids(joint),
  };
}

/** One value for each distinct voter, in order of appearance. */
function givenTo<T>(
  { voters, joint }: Halves,
  of: Case,
  key: string,
  read: (text: string) => T,
): ReadonlyMap<MemberId, T> {
  const ids = [...new Set([...voters, ...(joint ?? [])])];
  const texts = valuesOf(of, key) ?? [];
  if (texts.length !== ids.length) {
    throw new RangeError(`line ${of.line}: ${texts.length} values for ${ids.length} voters`);
  }
  const given = new Map<MemberId, T>();
  ids.forEach((id, at) => {
    const text = texts[at]!;
    if (text !== '_') given.set(id, read(text));
  });
  return given;
}

function numberOf(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new RangeError(`"${text}": expected a positive number`);
}

const indexOf = numberOf;

function voteOf(text: string): boolean {
  if (text === 'y' || text === 'n') return text === 'y';
  throw new RangeError(`vote "${text}": expected y, n or _`);
}

// ---------------------------------------------------------------- committed

function committed({ voters, joint }: Halves, given: ReadonlyMap<MemberId, number>): string {
  const reached: Reached = (id) => given.get(id);
  const table = describe([...new Set([...voters, ...(joint ?? [])])], reached);
  if (joint !== null) {
    const index = quorumReached({ voters, voters_outgoing: joint }, reached);
    const swapped = quorumReached({ voters: joint, voters_outgoing: voters }, reached);
    return `${table}${differing(index, swapped, 'symmetry')}${shown(index)}\n`;
  }
  const index = majorityReached(voters, reached);
  const breaches = [
    differing(index, reachedByCounting(voters, reached), 'counting'),
    differing(index, quorumReached({ voters, voters_outgoing: [] }, reached), 'zero-joint quorum'),
    differing(index, quorumReached({ voters, voters_outgoing: voters }, reached), 'self-joint quorum'),
    ...overlaid(voters, given, index),
  ];
  return `${table}${breaches.join('')}${shown(index)}\n`;
}

/** Whoever is behind what is committed may fall back further: nothing changes. */
function overlaid(
  voters: readonly MemberId[],
  given: ReadonlyMap<MemberId, number>,
  index: number,
): readonly string[] {
  return voters.flatMap((behind) => {
    const own = given.get(behind);
    if (own === undefined || own >= index) return [];
    return [own - 1, 0].map((lower) => {
      const lowered: Reached = (id) => (id === behind ? lower : given.get(id));
      return differing(index, majorityReached(voters, lowered), `overlay ${behind} at ${lower}`);
    });
  });
}

/** From the definition: the highest index that more than half of the voters have. */
function reachedByCounting(voters: readonly MemberId[], reached: Reached): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  const candidates = [0, ...voters.map((id) => reached(id) ?? 0)];
  const have = (index: number) => voters.filter((id) => (reached(id) ?? 0) >= index).length;
  return Math.max(...candidates.filter((index) => 2 * have(index) > voters.length));
}

function differing(index: number, other: number, via: string): string {
  return other === index ? '' : `${shown(other)} <-- via ${via}\n`;
}

function shown(index: number): string {
  return index === Number.POSITIVE_INFINITY ? '∞' : String(index);
}

/**
 * The table above the result. A row for each voter by id: a bar as long as the number of voters that are behind it, or
 * `?` when nothing is known of it. Of several with the same index only the first has a bar.
 */
function describe(voters: readonly MemberId[], reached: Reached): string {
  if (voters.length === 0) return '<empty majority quorum>';
  const width = voters.length;
  const by_id = [...voters].sort((a, b) => a - b);
  const rank = (id: MemberId, index: number): number => {
    if (by_id.find((other) => reached(other) === index) !== id) return 0;
    return by_id.filter((other) => (reached(other) ?? 0) < index).length;
  };
  const rows = by_id.map((id) => {
    const index = reached(id);
    const bar =
      index === undefined ? `?${' '.repeat(width)}` : `${'x'.repeat(rank(id, index))}>`.padEnd(width + 1);
    return `${bar} ${String(index ?? 0).padStart(5)}    (id=${id.toString(16)})\n`;
  });
  return `${' '.repeat(width)}    idx\n${rows.join('')}`;
}

// ---------------------------------------------------------------- vote

function voted({ voters, joint }: Halves, given: ReadonlyMap<MemberId, boolean>): string {
  const vote = (id: MemberId) => given.get(id);
  const result =
    joint === null ? majorityVote(voters, vote) : quorumVote({ voters, voters_outgoing: joint }, vote);
  const others: readonly (readonly [via: string, VoteResult])[] =
    joint === null
      ? [
          ['zero-joint quorum', quorumVote({ voters, voters_outgoing: [] }, vote)],
          ['self-joint quorum', quorumVote({ voters, voters_outgoing: voters }, vote)],
        ]
      : [['symmetry', quorumVote({ voters: joint, voters_outgoing: voters }, vote)]];
  const breaches = others.filter(([, other]) => other !== result);
  return [
    ...breaches.map(([via, other]) => `${vote_names[other]} <-- via ${via}\n`),
    `${vote_names[result]}\n`,
  ].join('');
}
