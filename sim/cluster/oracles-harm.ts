/**
 * O7, no needless harm: a guest is paused, frozen or killed for its host's lease only where something was done to the
 * host, the leader, or what is between them and a majority. Judged by the weather (weather.ts), with time to get over
 * what was.
 */

import { horizonMs } from '../../src/config/horizon.ts';
import type { HaParams } from '../../src/config/model.ts';
import { default_timing } from '../../src/consensus/api.ts';
import { pause_at } from '../../src/node/lease/node-lease.ts';
import type { Weather } from './weather.ts';

export type Harm = 'paused' | 'frozen' | 'killed';

/** The longest wait before a member campaigns. */
const election_ms = 2 * default_timing.election_ticks * default_timing.tick_ms;
/** Connections are made anew, a renewal goes round. */
const reconnect_ms = 2_000;
/** A leader is missed, and another elected, twice if votes were split; then the same. */
const elect_ms = 8_000;

export class HarmOracle {
  readonly #weather: Pick<Weather, 'servedMs' | 'quorateMs' | 'passedOverMs'>;
  readonly #lease_ms: number;
  readonly #horizon_ms: number;
  readonly #fail: (what: string) => void;

  constructor(
    weather: Pick<Weather, 'servedMs' | 'quorateMs' | 'passedOverMs'>,
    ha: HaParams,
    fail: (what: string) => void,
  ) {
    this.#weather = weather;
    this.#horizon_ms = horizonMs(ha, ha);
    // The host's clock may be slow.
    this.#lease_ms = ha.lease_ms * (1 + 2 * ha.drift);
    this.#fail = fail;
  }

  harmed(host: string, instance: string, harm: Harm): void {
    const spent_ms = this.#lease_ms * (harm === 'paused' ? pause_at : 1);
    const served_ms = this.#weather.servedMs(host);
    const quorate_ms = this.#weather.quorateMs(host);
    const needless =
      served_ms > spent_ms + reconnect_ms
        ? `the leader was in reach for ${Math.round(served_ms)} ms`
        : // A lease that is shorter than an election does not outlast one.
          // Whom the leader's entries have not reached for T is refused, though its renewals come through others.
          spent_ms > election_ms &&
            quorate_ms > spent_ms + elect_ms &&
            this.#weather.passedOverMs(host) < this.#horizon_ms
          ? `a majority was in reach for ${Math.round(quorate_ms)} ms`
          : null;
    if (needless !== null) this.#fail(`O7: ${instance} is ${harm} on ${host} although ${needless}`);
  }
}
