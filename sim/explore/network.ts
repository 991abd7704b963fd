/**
 * The messages under way. Any of them may arrive next; one that never does is lost, so losing needs no step of its own.
 * A message sent again while it is under way is one. A delivered message is gone, unless the bounds let it come again.
 * Answers that are out of date leave the picture: see {@link isInert}.
 */
import type { Message } from '../../src/consensus/types.ts';
import type { Classes, Interner } from './interner.ts';
import { member_ids, permutations } from './names.ts';

export interface Network {
  readonly number: number;
  /** Numbers of messages, rising. */
  readonly messages: readonly number[];
  /** Those to each member, by its number. */
  readonly to: readonly (readonly number[])[];
  /** By renaming: equal for sets that are equal when renamed. */
  readonly classes: Int32Array;
}

export class Networks {
  readonly #messages: Interner<Message>;
  readonly #classes: Classes;
  readonly #known = new Map<string, Network>();
  readonly #list: Network[] = [];

  constructor(messages: Interner<Message>, classes: Classes) {
    this.#messages = messages;
    this.#classes = classes;
  }

  at(number: number): Network {
    return this.#list[number]!;
  }

  of(messages: readonly number[]): Network {
    const key = messages.join(' ');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const found = messages.map((number) => this.#messages.at(number));
    const classes = Int32Array.from(permutations, (_, p) => {
      const renamed = Int32Array.from(found, (message) => message.classes[p]!).sort();
      return this.#classes.number(`network ${renamed.join(' ')}`);
    });
    const made = {
      number: this.#list.length,
      messages,
      to: [0, ...member_ids].map((id) => found.filter((m) => m.value.to === id).map((m) => m.number)),
      classes,
    };
    this.#known.set(key, made);
    this.#list.push(made);
    return made;
  }

  /**
   * @param arrived the number of a message that is under way no more; -1: none
   * @param durable_term what each member has on disk, from member 1 on
   * @param leftOut hears of each message that can do nothing any more
   */
  after(
    network: Network,
    arrived: number,
    sent: readonly number[],
    durable_term: readonly number[],
    leftOut: (m: Message) => void,
  ): Network {
    const under_way = new Set(network.messages);
    under_way.delete(arrived);
    for (const number of sent) under_way.add(number);
    const left = [...under_way].filter((number) => {
      const m = this.#messages.at(number).value;
      if (!isInert(m, durable_term[m.to - 1]!)) return true;
      leftOut(m);
      return false;
    });
    return this.of(left.sort((a, b) => a - b));
  }
}

/**
 * Whether a message can do nothing any more: an answer, or an order to campaign, from a term that its receiver has left
 * for good. (Not so a refused pre-vote: that may name any term up to the receiver's.) Claimed here, tested
 * by cluster.ts each time a message is left out for it.
 */
export function isInert(m: Message, durable_term: number): boolean {
  switch (m.type) {
    case 'vote-reply':
      return !m.pre && m.term < durable_term;
    case 'append-reply':
    case 'heartbeat-reply':
    case 'timeout-now':
      return m.term < durable_term;
    default:
      return false;
  }
}
