/**
 * What must hold at all times (thesis, figure 3.2, and what the replica's own interface promises), judged from outside:
 * from the calls to each member's disk, the frames it sends, the entries it applies and the status it shows. It keeps
 * the one true log as soon as anybody calls an entry committed, and never forgets it. The first breach ends the run.
 */
import type {
  Configuration,
  Entry,
  MemberId,
  ReplicaStatus,
  SnapshotMeta,
} from '../../src/consensus/index.ts';
import { configurationOf, decodeConfiguration, encodeConfiguration } from '../../src/consensus/index.ts';
import { decodeCommand, type Image } from './kv.ts';
import { type LogModel, lastIndex, termAt, type WatchedLog } from './watched-log.ts';

interface Committed {
  readonly term: number;
  readonly hash: number;
  /** The term of whoever was first seen to know: not below the term in which it was committed. */
  readonly known_in_term: number;
  /** Of the state machine, once somebody applied it. */
  state_hash: number | null;
}

export class Oracle {
  /** What went wrong first. */
  breach: string | null = null;
  /** The configuration of the highest applied config entry. */
  configuration: Configuration = configurationOf([]);
  configuration_index = 0;
  /** The highest index at which anybody ever had a config entry in its log. */
  change_seen_index = 0;
  /** The highest index with an acknowledged write. */
  acked_index = 0;
  readonly #log: Committed[] = [];
  readonly #leaders = new Map<number, MemberId>();
  /** By term and index: an entry's hash and the term of the one before it. */
  readonly #entries = new Map<number, { readonly hash: number; before: number | undefined }>();
  /** Where each command took effect. */
  readonly #effects = new Map<number, number>();
  /** Commands whose client was told that nothing happened. */
  readonly #denied = new Set<number>();
  /** All committed configurations, oldest first. */
  readonly #configurations: { readonly index: number; readonly text: string }[] = [];
  readonly #images = new Map<number, string>();
  /** Where images were restored. */
  readonly #restored = new Set<number>();

  /** The highest index known to be committed. */
  get committed_index(): number {
    return this.#log.length;
  }

  /** The leaders of all terms so far. */
  get terms_led(): number {
    return this.#leaders.size;
  }

  fail(reason: string): void {
    this.breach ??= reason;
  }

  /** Log matching, by induction: one content and one predecessor for each index and term (thesis, section 3.5). */
  entry(id: MemberId, entry: Entry, hash: number, before: number | undefined): void {
    if (entry.kind === 'config') this.change_seen_index = Math.max(this.change_seen_index, entry.index);
    const key = entry.term * 2 ** 32 + entry.index;
    const known = this.#entries.get(key);
    if (known === undefined) {
      this.#entries.set(key, { hash, before });
      return;
    }
    const name = `entry ${entry.index} of term ${entry.term}`;
    if (known.hash !== hash) this.fail(`log matching: member ${id} has another ${name}`);
    if (known.before === undefined) known.before = before;
    else if (before !== undefined && known.before !== before) {
      this.fail(
        `log matching: ${name} follows term ${before} at member ${id}, term ${known.before} elsewhere`,
      );
    }
  }

  /** A member applied an entry; `state_hash` is that of all it ever applied. */
  applied(id: MemberId, entry: Entry, hash: number, state_hash: number, term: number): void {
    const at = entry.index;
    this.#commit(id, at, entry.term, hash, term);
    const known = this.#log[at - 1];
    if (known === undefined) return;
    if (known.state_hash !== null) {
      if (known.state_hash !== state_hash)
        this.fail(`state of member ${id} at index ${at} differs from another's`);
      return;
    }
    known.state_hash = state_hash;
    if (entry.kind === 'config' && at > this.configuration_index) {
      this.configuration = decodeConfiguration(entry.data);
      this.configuration_index = at;
      this.#configurations.push({ index: at, text: textOf(this.configuration) });
    }
    if (entry.kind !== 'command') return;
    const command = decodeCommand(entry.data).id;
    if (this.#denied.has(command))
      this.fail(`command ${command} took effect at ${at}, its client was told it did not`);
    const twice = this.#effects.get(command);
    if (twice !== undefined) this.fail(`command ${command} took effect at ${twice} and at ${at}`);
    this.#effects.set(command, at);
  }

  /** A boundary of a log, or what a snapshot stands for: it names the configuration that was committed at its index. */
  boundary(id: MemberId, { index, configuration }: SnapshotMeta): void {
    const known = this.#configurations.findLast((change) => change.index <= index);
    if (known !== undefined && known.text !== textOf(configuration))
      this.fail(
        `member ${id} has a snapshot of ${index} with another configuration than was committed there`,
      );
  }

  /** Nobody holds a change of the members that may still be committed, and none is half done. */
  get settled(): boolean {
    const { configuration, change_seen_index } = this;
    if (configuration.voters_outgoing.length > 0) return false;
    return change_seen_index === this.configuration_index || this.stateHash(change_seen_index) !== null;
  }

  /** An image taken or restored: its state is the one that everybody has at that index. */
  image(id: MemberId, { meta, hash, state }: Image, restored: boolean): void {
    if (restored) this.#restored.add(meta.index);
    const known = this.#log[meta.index - 1];
    if (meta.index > 0 && known?.state_hash !== hash) {
      this.fail(
        `member ${id} has an image of index ${meta.index} with hash ${hash}, not ${known?.state_hash}`,
      );
    }
    if (meta.index > 0 && known?.term !== meta.term)
      this.fail(`member ${id}: image ${meta.index} of term ${meta.term}`);
    const other = this.#images.get(meta.index);
    if (other === undefined) this.#images.set(meta.index, state);
    else if (other !== state) this.fail(`member ${id} has another state at index ${meta.index}`);
  }

  /** @returns whether it became the leader of its term in this moment */
  status(id: MemberId, before: ReplicaStatus | null, now: ReplicaStatus, log: WatchedLog): boolean {
    if (before !== null) {
      if (now.term < before.term) this.fail(`member ${id}: term went from ${before.term} to ${now.term}`);
      if (now.commit < before.commit)
        this.fail(`member ${id}: commit went from ${before.commit} to ${now.commit}`);
      if (now.applied < before.applied)
        this.fail(`member ${id}: applied went from ${before.applied} to ${now.applied}`);
    }
    // While the log is replaced by a snapshot that is restored already, its commit index is still the old one.
    if (now.applied > now.commit && !this.#restored.has(now.applied))
      this.fail(`member ${id}: applied ${now.applied} beyond commit ${now.commit}`);
    this.#commits(id, now, log);
    if (now.role !== 'leader') return false;
    const leader = this.#leaders.get(now.term);
    if (leader === id) return false;
    if (leader !== undefined) this.fail(`members ${leader} and ${id} both lead term ${now.term}`);
    this.#leaders.set(now.term, id);
    this.#completeness(id, now.term, log.given);
    return true;
  }

  /** A client was told that command `id` failed for sure. */
  denied(id: number): void {
    const at = this.#effects.get(id);
    if (at !== undefined)
      this.fail(`command ${id} took effect at ${at}, and its client is told that it did not`);
    this.#denied.add(id);
  }

  /** A client was told that command `id` took effect at `index`. */
  acked(id: number, index: number): void {
    const at = this.#effects.get(id);
    if (at !== index) this.fail(`command ${id} acknowledged at ${index}, took effect at ${at ?? 'none'}`);
    this.acked_index = Math.max(this.acked_index, index);
  }

  /** Whether somebody is known to have called this entry committed. */
  isCommitted(index: number, term: number): boolean {
    return this.#log[index - 1]?.term === term;
  }

  effectOf(id: number): number | undefined {
    return this.#effects.get(id);
  }

  stateHash(index: number): number | null {
    return this.#log[index - 1]?.state_hash ?? null;
  }

  /** Everything that became committed is what it always was. */
  #commits(id: MemberId, { commit, term }: ReplicaStatus, log: WatchedLog): void {
    const { base, slots } = log.given;
    const to = Math.min(commit, lastIndex(log.given));
    for (let i = Math.max(log.checked, base.index) + 1; i <= to; i++) {
      const { term: entry_term, hash } = slots[i - base.index - 1]!;
      this.#commit(id, i, entry_term, hash, term);
    }
    log.checked = Math.max(log.checked, to);
  }

  #commit(id: MemberId, index: number, term: number, hash: number, known_in_term: number): void {
    const known = this.#log[index - 1];
    if (known !== undefined) {
      if (known.hash === hash && known.term === term) return;
      this.fail(
        `member ${id} has entry ${index} of term ${term} committed, others have it of term ${known.term}`,
      );
    } else if (index === this.#log.length + 1) {
      this.#log.push({ term, hash, known_in_term, state_hash: null });
    } else {
      this.fail(`member ${id} has ${index} committed, nobody has ${this.#log.length + 1}`);
    }
  }

  /** A leader has every entry that was committed in an earlier term (thesis, section 3.6.3). */
  #completeness(id: MemberId, term: number, log: LogModel): void {
    for (let i = this.#log.length; i > log.base.index; i--) {
      const known = this.#log[i - 1]!;
      if (known.known_in_term < term && termAt(log, i) !== known.term) {
        this.fail(`member ${id} leads term ${term} without the committed entry ${i} of term ${known.term}`);
        return;
      }
    }
  }
}

const decoder = new TextDecoder();

/** A configuration as text that is the same for equal ones. */
export function textOf(configuration: Configuration): string {
  return decoder.decode(encodeConfiguration(configuration));
}
