/**
 * Runs the grant desk on the leader, for one term: a renewal waits for a quorum round that begins after it arrived,
 * rounds follow each other and serve all that waited. Routine renewals wait a while for others, so that a leader of many
 * nodes runs a few rounds a second and not one for each. Made when the term's own entry is applied, stopped when the lead
 * is lost; after `stop` nothing is granted.
 */
import type { HaParams } from '../../config/model.ts';
import type { LiveNode } from '../../ops/types.ts';
import type { HeardNode, LeaseGrant, LeaseRenewal } from '../ha-types.ts';
import { GrantDesk } from './grant-desk.ts';

export interface LeaseGranterPorts {
  /** Boot-time clock. */
  now_ms(): number;
  after(delay_ms: number, fn: () => void): () => void;
  /** Confirmed by a quorum round that begins after the call. */
  readIndex(): Promise<{ readonly index: number; readonly term: number }>;
  /** The leader's own applied index. */
  applied(): number;
  /** In force by the applied state. */
  ha(): HaParams;
  /** The node's boot number in the applied state; null: no such node. */
  loggedBoot(node_uuid: string): number | null;
  /** Renewals are heard and none is granted (recover-hold.ts); absent: never. */
  hold?(): boolean;
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>): void;
}

/** A renewal that was not granted; `code` travels over the mesh. */
export class LeaseRefused extends Error {
  readonly code = 'refused';
  constructor(reason: string) {
    super(`no lease: ${reason}`);
    this.name = 'LeaseRefused';
  }
}

export interface LeaseGranter {
  /** @throws LeaseRefused */
  renew(renewal: LeaseRenewal): Promise<LeaseGrant>;
  /** From now until the returned function is called, the node is granted nothing (docs/ha.md, rule 4). */
  bar(node_uuid: string): () => void;
  heard(): ReadonlyMap<string, HeardNode>;
  live(): ReadonlyMap<string, LiveNode>;
  stop(): void;
}

export function createLeaseGranter(ports: LeaseGranterPorts): LeaseGranter {
  const desk = new GrantDesk();
  let stopped = false;
  let term: number | null = null;
  let stopGathering: (() => void) | null = null;

  /** Well inside the 0.3 L after which a node would call itself suspect. */
  const gatherMs = () => 0.4 * ports.ha().renew_ms;

  function gather(): void {
    stopGathering ??= ports.after(gatherMs(), round);
  }

  function stop(): void {
    stopped = true;
    stopGathering?.();
    desk.clear();
  }

  function round(): void {
    stopGathering?.();
    stopGathering = null;
    if (stopped || !desk.beginRound()) return;
    let over = false;
    const end = (confirmed: { readonly index: number; readonly term: number } | null): void => {
      if (over || stopped) return;
      over = true;
      cancel();
      desk.endRound(confirmed, ports.ha());
      round();
    };
    // A round as old as a lease could grant nothing that still counts.
    const cancel = ports.after(ports.ha().lease_ms, () => end(null));
    ports.readIndex().then(
      (read) => {
        term ??= read.term;
        if (read.term !== term) {
          ports.log('warn', 'the lead was lost and won again: grants end here', { term, now: read.term });
          cancel();
          stop();
          return;
        }
        if (ports.hold?.() === true) end(null);
        else end({ term: read.term, index: Math.max(read.index, ports.applied()) });
      },
      (error: Error) => {
        ports.log('debug', 'no quorum for leases', { error: error.message });
        end(null);
      },
    );
  }

  return {
    renew(renewal) {
      if (stopped) return Promise.reject(new LeaseRefused('no longer the leader'));
      return new Promise((resolve, reject) => {
        const input = {
          now_ms: ports.now_ms(),
          ha: ports.ha(),
          logged_boot: ports.loggedBoot(renewal.node),
          applied: ports.applied(),
        };
        desk.offer(renewal, input, (answer) => {
          if (answer.ok) resolve(answer.grant);
          else reject(new LeaseRefused(answer.reason));
        });
        if (renewal.urgent) round();
        else gather();
      });
    },
    bar: (node_uuid) => desk.bar(node_uuid),
    heard: () => desk.heard(),
    live: () => desk.live(ports.now_ms()),
    stop,
  };
}
