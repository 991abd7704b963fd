/**
 * What the leader knows of one other member, and when it may send to it.
 *
 * - `probe`: where the logs agree is not known; one append at a time, the next after an answer or a heartbeat's answer.
 * - `replicate`: they agree up to `match`; appends are sent without waiting, up to a window of messages and bytes.
 * - `snapshot`: the log no longer reaches back; nothing is sent until the snapshot is taken or has failed.
 *
 * `match < next` always; `match` only grows while the leader leads, unless the member's storage is found damaged: then it
 * is forgotten, and counts for nothing from then on.
 */
import { invariant } from './invariant.ts';
import type { MemberId } from './types.ts';

export interface Window {
  readonly max_inflight: number;
  readonly max_inflight_bytes: number;
}

export class Progress {
  readonly id: MemberId;
  readonly #window: Window;
  #state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  #match = 0;
  #next: number;
  #probe_sent = false;
  #inflight: { readonly last: number; readonly bytes: number }[] = [];
  #inflight_bytes = 0;
  #snapshot_index = 0;
  /** The tick at which the replica said that the snapshot's chunks were taken; null before. */
  #snapshot_taken_at: number | null = null;
  /** The highest commit index sent. */
  commit_sent = 0;
  /** How far relays said it was, before the leader fed it itself: for show, it counts for nothing. */
  reported = 0;
  /** The tick of the last message from it in this term; the leader's own beginning before. */
  heard_at: number;

  constructor(id: MemberId, next: number, now: number, window: Window) {
    this.id = id;
    this.#next = next;
    this.heard_at = now;
    this.#window = window;
  }

  get state(): 'probe' | 'replicate' | 'snapshot' {
    return this.#state;
  }

  get match(): number {
    return this.#match;
  }

  get next(): number {
    return this.#next;
  }

  get paused(): boolean {
    if (this.#state === 'snapshot') return true;
    if (this.#state === 'probe') return this.#probe_sent;
    const { max_inflight, max_inflight_bytes } = this.#window;
    return this.#inflight.length >= max_inflight || this.#inflight_bytes >= max_inflight_bytes;
  }

  /** An append with entries up to `last` (`next - 1`: an empty one) was sent. */
  sent(last: number, bytes: number, commit: number): void {
    this.commit_sent = Math.max(this.commit_sent, commit);
    if (this.#state === 'probe') {
      this.#probe_sent = true;
    } else if (last >= this.#next) {
      this.#inflight.push({ last, bytes });
      this.#inflight_bytes += bytes;
      this.#next = last + 1;
    }
  }

  /** It has everything up to `index`. True when that is news, or ends a probe. */
  acknowledged(index: number): boolean {
    const news = index > this.#match;
    if (news) {
      this.#match = index;
      this.#next = Math.max(this.#next, index + 1);
    }
    if (this.#state === 'probe' && index === this.#match) {
      this.#enter('replicate', this.#match + 1);
      return true;
    }
    while (this.#inflight[0] !== undefined && this.#inflight[0].last <= index) {
      this.#inflight_bytes -= this.#inflight.shift()!.bytes;
    }
    return news;
  }

  /** It rejected an append after `rejected`; the logs may agree at `agreement`. False when the answer is out of date. */
  rejected(rejected: number, agreement: number): boolean {
    if (this.#state === 'snapshot' || rejected <= this.#match) return false;
    if (this.#state === 'replicate') {
      this.#enter('probe', this.#match + 1);
      return true;
    }
    if (rejected !== this.#next - 1) return false;
    this.#next = Math.max(Math.min(rejected, agreement + 1), this.#match + 1);
    this.#probe_sent = false;
    return true;
  }

  /** Its log has begun anew: find out where it stands. A snapshot under way stays under way. */
  forget(): void {
    this.#match = 0;
    if (this.#state !== 'snapshot') this.#enter('probe', this.#next);
  }

  /** Its answer to a heartbeat: what was sent before has arrived or is lost, so a probe may be sent again. */
  resume(): void {
    this.#probe_sent = false;
  }

  /** The connection came up or went down: what is in flight may be lost. */
  interrupted(): void {
    if (this.#state === 'replicate') this.#enter('probe', this.#match + 1);
    this.#probe_sent = false;
  }

  awaitSnapshot(index: number): void {
    this.#enter('snapshot', this.#next);
    this.#snapshot_index = index;
  }

  /** @returns false when no snapshot was under way */
  snapshotSent(ok: boolean, now: number): boolean {
    if (this.#state !== 'snapshot') return false;
    if (ok) {
      this.#snapshot_taken_at = now;
    } else {
      this.#enter('probe', this.#match + 1);
      // Not at once: the next heartbeat's answer lets it try again.
      this.#probe_sent = true;
    }
    return true;
  }

  /** An acknowledgement shows that the log reaches it again. */
  snapshotInstalled(): void {
    this.#enter('replicate', this.#match + 1);
  }

  /** A snapshot that was taken but never acknowledged: after `patience_ticks` find out where the member stands. */
  tick(now: number, patience_ticks: number): void {
    if (this.#snapshot_taken_at !== null && now - this.#snapshot_taken_at > patience_ticks) {
      this.#enter('probe', Math.max(this.#match, this.#snapshot_index) + 1);
    }
  }

  #enter(state: 'probe' | 'replicate' | 'snapshot', next: number): void {
    invariant(next > this.#match, () => `next ${next} of member ${this.id} not beyond match ${this.#match}`);
    this.#state = state;
    this.#next = next;
    this.#probe_sent = false;
    this.#inflight = [];
    this.#inflight_bytes = 0;
    this.#snapshot_taken_at = null;
  }
}
