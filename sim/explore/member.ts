/**
 * The states of single members, and the steps between them. A member's future depends on its own state alone, so each
 * step is taken once, by replaying the inputs since its last start on a fresh core, and remembered: the cluster's states
 * are only tuples of these. Two histories that come to the same key are one state; the first to come stands for it.
 */
import type { CoreInitial } from '../../src/consensus/core-api.ts';
import type {
  CoreStatus,
  Entry,
  HardState,
  MemberId,
  MemberProgress,
  Message,
} from '../../src/consensus/types.ts';
import { type Facts, factLines, factsAfter, no_facts } from './facts.ts';
import { Host, type HostOptions, type Outcome } from './host.ts';
import { type Input, inputText } from './inputs.ts';
import { type Classes, type Interned, Interner } from './interner.ts';
import { look, statusLines } from './look.ts';
import { entryText, hardStateText, messageText } from './names.ts';

/** How to get there: inputs to a core that was started so. */
export interface History {
  readonly start: CoreInitial;
  readonly inputs: readonly Exclude<Input, { type: 'crash' }>[];
}

export interface Member {
  readonly id: MemberId;
  readonly history: History;
  readonly status: CoreStatus;
  readonly progress: readonly MemberProgress[];
  readonly facts: Facts;
  readonly disk: { readonly hard_state: HardState; readonly entries: readonly Entry[] };
  /** The texts of the log's entries, in memory and on disk. */
  readonly log: readonly string[];
  readonly durable: readonly string[];
  readonly terms: readonly number[];
  readonly durable_terms: readonly number[];
  readonly writes: number;
  readonly handed: number;
  /** It hears a leader: a pre-vote would be refused. */
  readonly loyal: boolean;
  readonly steps: Map<number, Step>;
}

export interface Step {
  readonly to: Interned<Member>;
  readonly outcome: Outcome;
  /** The numbers of the messages sent. */
  readonly sent: readonly number[];
  readonly breach: string | null;
}

/** Two ways to one state. */
export interface Merge {
  readonly state: Interned<Member>;
  readonly other: History;
}

export class Members {
  readonly messages: Interner<Message>;
  readonly inputs: Interner<Input>;
  readonly #states: Interner<Member>;
  readonly #options: HostOptions;
  readonly #merged: (merge: Merge) => void;

  /** @param merged hears of every step that came to a state known before by another history */
  constructor(classes: Classes, options: HostOptions, merged: (merge: Merge) => void) {
    this.messages = new Interner(classes);
    this.inputs = new Interner(classes);
    this.#states = new Interner(classes);
    this.#options = options;
    this.#merged = merged;
  }

  /** Distinct states of members so far. */
  get size(): number {
    return this.#states.size;
  }

  at(number: number): Interned<Member> {
    return this.#states.at(number);
  }

  input(input: Input): Interned<Input> {
    return this.inputs.intern(inputText(input), () => input);
  }

  /** The number of a message. */
  number(message: Message): number {
    return this.messages.intern(messageText(message), () => message).number;
  }

  start(id: MemberId, initial: CoreInitial): Step {
    const host = new Host(id, initial, this.#options);
    return this.#step(host, { start: initial, inputs: [] }, no_facts);
  }

  step(from: Interned<Member>, input: Interned<Input>): Step {
    const member = from.value;
    const known = member.steps.get(input.number);
    if (known !== undefined) return known;
    const step = this.take(from, member.history, input.value);
    member.steps.set(input.number, step);
    return step;
  }

  /** Takes a step whether it is known or not: what `input` does after `history`, one that leads to `from`. */
  take(from: Interned<Member>, history: History, input: Input): Step {
    const { id, facts } = from.value;
    const host = this.replayed(id, history);
    if (input.type === 'crash') {
      try {
        return this.start(id, host.afterCrash(input.kept));
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        return { to: from, outcome: host.outcome, sent: [], breach: `cannot start again: ${why}` };
      }
    }
    const outcome = host.step(input);
    const inputs = [...history.inputs, input];
    return this.#step(host, { start: history.start, inputs }, factsAfter(facts, input, outcome, host.status));
  }

  replayed(id: MemberId, { start, inputs }: History): Host {
    const host = new Host(id, start, this.#options);
    for (const input of inputs) host.step(input);
    return host;
  }

  #step(host: Host, history: History, facts: Facts): Step {
    const { outcome, breach } = host;
    const member = memberOf(host, history, facts);
    const seen = look(host.core);
    const loyal = seen.some((line) => line.includes('refused'));
    const key = keyText(host, member, seen);
    const text = this.#options.apart ? `${key}\npath ${history.inputs.map(inputText).join(', ')}` : key;
    const to = this.#states.intern(text, () => ({ ...member, loyal, steps: new Map() }));
    if (to.value.history !== history) this.#merged({ state: to, other: history });
    const sent = outcome.sent.map((m) => this.number(m));
    return { to, outcome, sent, breach };
  }
}

type Plain = Omit<Member, 'loyal' | 'steps'>;

function memberOf(host: Host, history: History, facts: Facts): Plain {
  const { disk, log } = host;
  return {
    id: host.id,
    history,
    status: host.status,
    progress: host.progress,
    facts,
    disk,
    log: log.map(entryText),
    durable: disk.entries.map(entryText),
    terms: log.map((entry) => entry.term),
    durable_terms: disk.entries.map((entry) => entry.term),
    writes: host.writes.length,
    handed: host.handed,
  };
}

function keyText(host: Host, member: Plain, seen: readonly string[]): string {
  const writes = host.writes.flatMap(({ hard_state, entries, after }, i) => {
    const state = hard_state === null ? '' : hardStateText(hard_state);
    const lines = [`write ${i} ${state} ${entries.map(entryText).join(' ')}`];
    return [...lines, ...after.map((m) => `write ${i} lets go ${messageText(m)}`)];
  });
  const { term, vote } = host.hard_state;
  return [
    ...statusLines(member.status, member.progress),
    `log ${member.log.join(' ')}`,
    `disk ${hardStateText(member.disk.hard_state)} ${member.durable.join(' ')}`,
    `vote @${vote} t${term} handed ${member.handed}`,
    ...writes,
    ...factLines(member.facts),
    ...seen,
  ].join('\n');
}
