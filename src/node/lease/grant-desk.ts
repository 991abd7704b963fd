/**
 * The leader's side of the leases, without waits: renewals come in, a quorum round begins, it ends, grants go out.
 * Guarantees (docs/ha.md, "Node lease"): a grant leaves only after a round that began after its renewal arrived (2);
 * it carries the index as of the end of that round (3); a barred node gets none (4); what was heard lives in this
 * term's memory only (7, 9); a renewal of an older boot counts for nothing (8). Every refusal says why.
 */

import { horizonMs } from '../../config/horizon.ts';
import type { HaParams } from '../../config/model.ts';
import type { LiveNode } from '../../ops/types.ts';
import type { HeardNode, LeaseGrant, LeaseRenewal } from '../ha-types.ts';

export type GrantAnswer =
  | { readonly ok: true; readonly grant: LeaseGrant }
  | { readonly ok: false; readonly reason: string };

interface Waiting {
  readonly renewal: LeaseRenewal;
  readonly answer: (answer: GrantAnswer) => void;
}

/** Values that an earlier grant or report named and that the node may hold until `until_ms`. */
interface Held {
  readonly lease_ms: number;
  readonly guard_slack_ms: number;
  readonly kill_ms: number;
  readonly until_ms: number;
}

interface Known {
  heard_at_ms: number;
  boot: number;
  sent_at_ms: number;
  held: readonly Held[];
  live: LeaseRenewal['live'];
  applied: number;
  /** When `applied` last moved, or had nothing to move to. */
  progressed_at_ms: number;
}

export interface GrantInput {
  readonly now_ms: number;
  readonly ha: HaParams;
  /** The boot in the log; null: unknown node. */
  readonly logged_boot: number | null;
  /** The leader's own applied index. */
  readonly applied: number;
}

/** More waiting renewals than any pool has nodes: beyond it somebody is broken, and the oldest is turned away. */
export const max_waiting = 1024;

export class GrantDesk {
  readonly #known = new Map<string, Known>();
  readonly #bars = new Map<string, number>();
  #waiting = new Map<string, Waiting>();
  #round: Map<string, Waiting> | null = null;

  /** Takes a renewal in for the next round, or answers with a refusal at once. */
  offer(renewal: LeaseRenewal, input: GrantInput, answer: (answer: GrantAnswer) => void): void {
    const known = this.#known.get(renewal.node);
    const refusal = this.#refusal(renewal, known, input);
    if (refusal !== null) {
      answer({ ok: false, reason: refusal });
      return;
    }
    const { node } = renewal;
    const fresh = this.#note(renewal, known, input);
    this.#known.set(node, fresh);
    if (input.now_ms - fresh.progressed_at_ms > horizonMs(input.ha, largest(fresh))) {
      // Its heartbeat lives and its replica does not: what it believes is old, so what it holds must end.
      answer({ ok: false, reason: `it has applied nothing beyond entry ${renewal.applied} for too long` });
      return;
    }
    fresh.heard_at_ms = input.now_ms;
    const replaced = this.#waiting.get(node);
    this.#waiting.delete(node);
    replaced?.answer({ ok: false, reason: 'a newer renewal came' });
    this.#waiting.set(node, { renewal, answer });
    if (this.#waiting.size > max_waiting) this.#turnAwayOldest();
  }

  #refusal(renewal: LeaseRenewal, known: Known | undefined, input: GrantInput): string | null {
    const { node, boot, sent_at_ms } = renewal;
    if (input.logged_boot === null) return `${node} is not a node of this cluster`;
    const highest = Math.max(input.logged_boot, known?.boot ?? 0);
    if (boot < highest) return `boot ${boot} is over: this node was seen with boot ${highest}`;
    if (this.#bars.has(node)) return 'its loss is being decided';
    // By time and not by sequence: an agent that died and came back counts from one again, its host's clock does not.
    if (known !== undefined && known.boot === boot && sent_at_ms < known.sent_at_ms)
      return 'it came after a younger one';
    return null;
  }

  #note(renewal: LeaseRenewal, known: Known | undefined, input: GrantInput): Known {
    const { now_ms, ha } = input;
    const reported = holdUntil(now_ms, ha, renewal.lease_ms, renewal.guard_slack_ms);
    const granted = holdUntil(now_ms, ha, ha.lease_ms, ha.guard_slack_ms);
    const earlier = known?.held.filter((held) => held.until_ms > now_ms) ?? [];
    const moved =
      known === undefined ||
      known.boot !== renewal.boot ||
      renewal.applied > known.applied ||
      renewal.applied >= input.applied;
    return {
      heard_at_ms: known?.heard_at_ms ?? now_ms,
      boot: renewal.boot,
      sent_at_ms: renewal.sent_at_ms,
      held: withoutRepeats([...earlier, reported, granted]),
      live: renewal.live,
      applied: renewal.applied,
      progressed_at_ms: moved ? now_ms : known.progressed_at_ms,
    };
  }

  #turnAwayOldest(): void {
    for (const [node, waiting] of this.#waiting) {
      this.#waiting.delete(node);
      waiting.answer({ ok: false, reason: 'too many renewals wait' });
      return;
    }
  }

  /** True when a quorum round should begin now: somebody waits and none is under way. The caller starts it after this returns. */
  beginRound(): boolean {
    if (this.#round !== null || this.#waiting.size === 0) return false;
    this.#round = this.#waiting;
    this.#waiting = new Map();
    return true;
  }

  /** The round is over: everybody that it served is answered. `confirmed` null: it failed. */
  endRound(confirmed: { readonly index: number; readonly term: number } | null, ha: HaParams): void {
    const round = this.#round;
    this.#round = null;
    if (round === null) return;
    for (const [node, { renewal, answer }] of round) {
      if (confirmed === null) answer({ ok: false, reason: 'no quorum' });
      else if (this.#bars.has(node)) answer({ ok: false, reason: 'its loss is being decided' });
      else if ((this.#known.get(node)?.boot ?? 0) > renewal.boot)
        answer({ ok: false, reason: 'it has rebooted since' });
      else {
        const { sequence, sent_at_ms } = renewal;
        const { lease_ms, guard_slack_ms } = ha;
        answer({ ok: true, grant: { sequence, sent_at_ms, ...confirmed, lease_ms, guard_slack_ms } });
      }
    }
  }

  /** Rule 4: nothing is granted to the node until the returned function is called. Bars add up. */
  bar(node: string): () => void {
    this.#bars.set(node, (this.#bars.get(node) ?? 0) + 1);
    let lifted = false;
    return () => {
      if (lifted) return;
      lifted = true;
      const left = (this.#bars.get(node) ?? 1) - 1;
      if (left > 0) this.#bars.set(node, left);
      else this.#bars.delete(node);
    };
  }

  /** What this term heard; nodes not heard are not in it. */
  heard(): ReadonlyMap<string, HeardNode> {
    return new Map(
      [...this.#known].map(([uuid, known]) => [
        uuid,
        { uuid, heard_at_ms: known.heard_at_ms, boot: known.boot, ...largest(known) },
      ]),
    );
  }

  live(now_ms: number): ReadonlyMap<string, LiveNode> {
    return new Map(
      [...this.#known].map(([uuid, known]) => [
        uuid,
        { ...known.live, boot: known.boot, age_ms: now_ms - known.heard_at_ms },
      ]),
    );
  }

  /** The lead is lost: nobody is answered with a grant any more, and nothing is remembered. */
  clear(): void {
    for (const batch of [this.#waiting, this.#round]) {
      for (const { answer } of batch?.values() ?? []) answer({ ok: false, reason: 'no longer the leader' });
    }
    this.#waiting = new Map();
    this.#round = null;
    this.#known.clear();
    this.#bars.clear();
  }
}

/** Beyond L + K + 2 W on the slowest clock a value is in force nowhere. */
function holdUntil(now_ms: number, ha: HaParams, lease_ms: number, guard_slack_ms: number): Held {
  const held = { lease_ms, guard_slack_ms, kill_ms: ha.kill_ms };
  return { ...held, until_ms: now_ms + horizonMs(ha, held) };
}

function withoutRepeats(all: readonly Held[]): readonly Held[] {
  const kept = new Map<string, Held>();
  for (const held of all) kept.set(`${held.lease_ms}/${held.guard_slack_ms}/${held.kill_ms}`, held);
  return [...kept.values()];
}

function largest(known: Known): Pick<HeardNode, 'lease_ms' | 'guard_slack_ms' | 'kill_ms'> {
  return {
    lease_ms: Math.max(...known.held.map((held) => held.lease_ms)),
    guard_slack_ms: Math.max(...known.held.map((held) => held.guard_slack_ms)),
    kill_ms: Math.max(...known.held.map((held) => held.kill_ms)),
  };
}
