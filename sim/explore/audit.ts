/**
 * Tests that states are merged rightly. Where two histories came to one key, every input that was tried after the one is
 * tried after the other: both must say the same and come to the same key again. A sample, drawn evenly from all merges.
 */
import type { History, Members, Merge, Step } from './member.ts';
import { entryText } from './names.ts';

export class Audit {
  readonly #most: number;
  readonly #random: () => number;
  readonly #sample: Merge[] = [];
  #seen = 0;

  constructor(most: number, random: () => number) {
    this.#most = most;
    this.#random = random;
  }

  /** Reservoir sampling (Vitter, 1985, algorithm R). */
  note(merge: Merge): void {
    this.#seen++;
    if (this.#sample.length < this.#most) {
      this.#sample.push(merge);
      return;
    }
    const at = Math.floor(this.#random() * this.#seen);
    if (at < this.#most) this.#sample[at] = merge;
  }

  run(members: Members): { readonly audited: number; readonly unlike: readonly string[] } {
    const unlike: string[] = [];
    const sample = this.#sample.splice(0);
    for (const { state, other } of sample) {
      for (const [number, step] of [...state.value.steps]) {
        const input = members.inputs.at(number);
        const again = members.take(state, other, input.value);
        const difference = differs(step, again);
        if (difference === null) continue;
        unlike.push(
          `after "${input.text}": ${difference}\n  first: ${pathText(state.value.history)}\n  other: ${pathText(other)}`,
        );
        break;
      }
    }
    return { audited: sample.length, unlike };
  }
}

function pathText({ start, inputs }: History): string {
  const log = start.entries.map(entryText).join(' ');
  return [`[${log}]`, ...inputs.map((input) => JSON.stringify(input))].join(' ');
}

/** What tells two steps apart; null: nothing. */
function differs(a: Step, b: Step): string | null {
  if (a.breach !== b.breach) return `breach ${a.breach} or ${b.breach}`;
  if (a.to !== b.to) return `states\n${linesApart(a.to.text, b.to.text)}`;
  const said = (step: Step): string => {
    const { committed, reads, reads_failed, accepted } = step.outcome;
    return JSON.stringify([
      step.sent.toSorted((x, y) => x - y),
      committed.map(entryText),
      reads,
      reads_failed,
      accepted,
    ]);
  };
  return said(a) === said(b) ? null : `${said(a)} or ${said(b)}`;
}

function linesApart(a: string, b: string): string {
  const ours = new Set(a.split('\n'));
  const theirs = new Set(b.split('\n'));
  const only = (lines: Set<string>, sign: string): string[] =>
    [...lines].map((line) => `    ${sign} ${line}`);
  return [...only(ours.difference(theirs), '-'), ...only(theirs.difference(ours), '+')].join('\n');
}
