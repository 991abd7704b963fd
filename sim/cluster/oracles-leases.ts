/**
 * What property P rests on, judged from outside, before a guest has run twice: a keeper's deadline is that of a grant
 * which came over the wire, counted from the sending of the renewal it answers (docs/ha.md, "The leader", "The node");
 * a renewal that is sent when a leader of a later term is elected already is granted by no leader of an earlier one, as
 * the round that a grant waits for needs a majority that knows no later term; and an epoch of an instance is started in
 * one boot of one host only ("Ownership"). They must never ask an agent.
 */

/** Deadlines are sums of the same two numbers on both sides: they differ by rounding at most. */
const rounding_ms = 1e-6;
/** Grants remembered a host: one may be taken in long after it came, but not after that many others. */
const grants_kept = 64;

export interface Grant {
  /** Of the leader. */
  readonly term: number;
  readonly sent_at_ms: number;
  readonly lease_ms: number;
}

export class LeaseOracles {
  readonly #fail: (what: string) => void;
  readonly #boots = new Map<string, number>();
  /** Ends of the leases granted to a host in this boot, on its clock; oldest first. */
  readonly #granted = new Map<string, number[]>();
  /** The latest term that somebody was elected in, by generation of the cluster. */
  readonly #elected = new Map<number, number>();
  /** Host and boot by instance and epoch. */
  readonly #started = new Map<string, string>();

  constructor(fail: (what: string) => void) {
    this.#fail = fail;
  }

  booted(host: string): void {
    this.#boots.set(host, (this.#boots.get(host) ?? 0) + 1);
    this.#granted.delete(host);
  }

  /** A member of this generation won an election. */
  elected(generation: number, term: number): void {
    this.#elected.set(generation, Math.max(term, this.latestTerm(generation)));
  }

  /** The latest term, as of now, in which somebody was elected; 0: nobody was. */
  latestTerm(generation: number): number {
    return this.#elected.get(generation) ?? 0;
  }

  /**
   * A leader's answer to a renewal reached a host's agent.
   * @param latest_term {@link latestTerm} when the renewal was sent
   */
  granted(host: string, grant: Grant, latest_term: number): void {
    if (grant.term < latest_term)
      this.#fail(
        `O1: ${host} is granted a lease in term ${grant.term}, for a renewal sent when a leader of term ${latest_term} was elected`,
      );
    const ends = this.#granted.get(host) ?? [];
    ends.push(grant.sent_at_ms + grant.lease_ms);
    if (ends.length > grants_kept) ends.shift();
    this.#granted.set(host, ends);
  }

  /** A host's keeper was told until when its lease lasts. */
  leased(host: string, deadline_ms: number): void {
    const ends = this.#granted.get(host) ?? [];
    if (ends.some((end_ms) => Math.abs(end_ms - deadline_ms) <= rounding_ms)) return;
    const last_ms = ends.at(-1);
    this.#fail(
      `O1: the keeper of ${host} takes its lease to last until ${deadline_ms} ms, which nobody granted; the last grant's ends at ${last_ms} ms`,
    );
  }

  /** A guest's process begins. */
  started(host: string, instance: string, epoch: number): void {
    const place = `${host} in boot ${this.#boots.get(host)}`;
    const key = `${instance} ${epoch}`;
    const before = this.#started.get(key);
    if (before === undefined) this.#started.set(key, place);
    else if (before !== place)
      this.#fail(
        `O1: epoch ${epoch} of instance ${instance} is started on ${place}, and was before on ${before}`,
      );
  }
}
