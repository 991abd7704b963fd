/** What a run counts while it goes on: outcomes, latencies, and the longest time in which nothing was acknowledged. */
import type { HistoryRecord, Outcome } from './oracle.ts';

export type OpKind = HistoryRecord['op'];

/** Latencies in buckets of a few per cent: a run of hours costs as much as one of seconds. */
class Latencies {
  readonly #buckets = new Map<number, number>();
  #count = 0;

  add(latency_us: number): void {
    const bucket = Math.ceil(Math.log2(Math.max(1, latency_us)) * 16);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
    this.#count++;
  }

  /** The bound that a share of them does not exceed, in milliseconds, at most 4 % too high; 0 when there are none. */
  percentile_ms(share: number): number {
    let left = share * this.#count;
    for (const [bucket, count] of [...this.#buckets].sort(([a], [b]) => a - b)) {
      left -= count;
      if (left <= 0) return 2 ** (bucket / 16) / 1000;
    }
    return 0;
  }
}

export type Counts = Readonly<Record<OpKind, Readonly<Record<Outcome, number>>>>;

export class Tally {
  readonly #counts: Record<OpKind, Record<Outcome, number>> = {
    read: { ok: 0, fail: 0, unknown: 0 },
    write: { ok: 0, fail: 0, unknown: 0 },
    cas: { ok: 0, fail: 0, unknown: 0 },
  };
  readonly #changes = new Latencies();
  readonly #reads = new Latencies();
  readonly #errors = new Map<string, number>();
  #refused = 0;
  #last_ack_us: number;
  #longest_gap_us = 0;

  /** @param start_us the gap before the first acknowledgement counts from here */
  constructor(start_us: number) {
    this.#last_ack_us = start_us;
  }

  add(record: HistoryRecord): void {
    this.#counts[record.op][record.outcome]++;
    if (record.outcome !== 'ok' || record.return_us === null) return;
    (record.op === 'read' ? this.#reads : this.#changes).add(record.return_us - record.call_us);
    if (record.op === 'cas' && record.result === false) this.#refused++;
    if (record.op !== 'read') this.#acknowledged(record.return_us);
  }

  error(code: string): void {
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  /** The run is over: the gap after the last acknowledgement counts too. */
  end(end_us: number): void {
    this.#acknowledged(end_us);
  }

  #acknowledged(now_us: number): void {
    this.#longest_gap_us = Math.max(this.#longest_gap_us, now_us - this.#last_ack_us);
    this.#last_ack_us = now_us;
  }

  summary() {
    const counts: Counts = this.#counts;
    return {
      counts,
      cas_refused: this.#refused,
      /** Writes and compare-and-sets that went through the log and were answered, refused ones included. */
      acknowledged: counts.write.ok + counts.cas.ok,
      errors: Object.fromEntries([...this.#errors].sort()),
      longest_unavailability_ms: Math.round(this.#longest_gap_us / 1000),
      change_p50_ms: this.#changes.percentile_ms(0.5),
      change_p99_ms: this.#changes.percentile_ms(0.99),
      read_p50_ms: this.#reads.percentile_ms(0.5),
      read_p99_ms: this.#reads.percentile_ms(0.99),
    };
  }
}
