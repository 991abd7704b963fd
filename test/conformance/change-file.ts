/**
 * A file of the data on configuration changes, run from top to bottom: each case changes the configuration that the ones
 * before it left. Configurations and refusals are those of `src/consensus`; which members the leader keeps progress for,
 * and since when, is followed here as its leader follows it (progress for exactly the members, never begun anew).
 */
import {
  type ChangeResult,
  empty_configuration,
  enterJoint,
  isJoint,
  isVoter,
  leaveJoint,
  membersOf,
  simpleChange,
} from '../../src/consensus/arithmetic.ts';
import { Progress } from '../../src/consensus/progress.ts';
import type { Configuration, MemberChange, MemberId } from '../../src/consensus/types.ts';
import { type Case, valuesOf } from './datadriven.ts';

const window = { max_inflight: 10, max_inflight_bytes: 1024 };

export class ChangeFile {
  readonly #least_next: number;
  readonly #progress = new Map<MemberId, Progress>();
  #configuration: Configuration = empty_configuration;
  /** Cases so far, refused ones too: the data shows in which of them a member came. */
  #round = 0;

  /** @param least_next where a member's log is first looked at: 1, in older releases of the library 0 */
  constructor(least_next: number) {
    this.#least_next = least_next;
  }

  /** Output of the next case. @throws RangeError when it is not one of this kind */
  run(of: Case): string {
    const result = this.#change(of);
    const round = this.#round++;
    if (!result.ok) return `${result.error}\n`;
    this.#configuration = result.configuration;
    this.#follow(Math.max(round, this.#least_next));
    return `${describe(this.#configuration)}\n${this.#described()}`;
  }

  #change(of: Case): ChangeResult {
    const changes = changesOf(of);
    switch (of.command) {
      case 'simple':
        return simpleChange(this.#configuration, changes);
      case 'enter-joint':
        return enterJoint(this.#configuration, changes, valuesOf(of, 'autoleave')?.[0] === 'true');
      case 'leave-joint':
        if (changes.length > 0) throw new RangeError(`line ${of.line}: leave-joint takes no input`);
        return leaveJoint(this.#configuration);
      default:
        throw new RangeError(`line ${of.line}: unknown command ${of.command}`);
    }
  }

  #follow(next: number): void {
    const members = new Set(membersOf(this.#configuration));
    for (const id of this.#progress.keys()) if (!members.has(id)) this.#progress.delete(id);
    for (const id of members) {
      if (!this.#progress.has(id)) this.#progress.set(id, new Progress(id, next, 0, window));
    }
  }

  #described(): string {
    const states = { probe: 'StateProbe', replicate: 'StateReplicate', snapshot: 'StateSnapshot' };
    return membersOf(this.#configuration)
      .map((id) => {
        const { state, match, next } = this.#progress.get(id)!;
        const learner = isVoter(this.#configuration, id) ? '' : ' learner';
        return `${id}: ${states[state]} match=${match} next=${next}${learner}\n`;
      })
      .join('');
  }
}

/** `v1 l2 r3 u4`: voter, learner, removed; an update changes no configuration. */
function changesOf(of: Case): readonly MemberChange[] {
  const types = { v: 'add-voter', l: 'add-learner', r: 'remove' } as const;
  const tokens = of.input.flatMap((line) => line.split(' ')).filter((token) => token !== '');
  return tokens.flatMap((token): readonly MemberChange[] => {
    const parts = /^([vlru])(\d+)$/.exec(token);
    if (parts === null) throw new RangeError(`line ${of.line}: unknown change ${token}`);
    const [, letter, id] = parts;
    return letter === 'u' ? [] : [{ type: types[letter as keyof typeof types], id: Number(id) }];
  });
}

function describe(configuration: Configuration): string {
  const { voters, voters_outgoing, learners, learners_next, auto_leave } = configuration;
  const list = (ids: readonly MemberId[]) => `(${ids.join(' ')})`;
  const parts = [`voters=${list(voters)}${isJoint(configuration) ? `&&${list(voters_outgoing)}` : ''}`];
  if (learners.length > 0) parts.push(`learners=${list(learners)}`);
  if (learners_next.length > 0) parts.push(`learners_next=${list(learners_next)}`);
  if (auto_leave) parts.push('autoleave');
  return parts.join(' ');
}
