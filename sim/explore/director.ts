/**
 * Leads a cluster to where an exploration begins, step by step like any other run, so that a trace begins at the very
 * start. A scene names its steps in the words of a trace.
 */
import type { Message } from '../../src/consensus/types.ts';
import { unbounded } from './bounds.ts';
import type { Cluster, Clusters, Move } from './cluster.ts';

export class Director {
  readonly clusters: Clusters;
  readonly moves: Move[] = [];
  cluster: Cluster;
  /** The first thing that went wrong. */
  breach: string | null = null;

  constructor(clusters: Clusters, cluster: Cluster) {
    this.clusters = clusters;
    this.cluster = cluster;
  }

  /** @param line `@2 timeout`, `@3 vote @2>@3 t1 …`: who, and the input's text. @throws RangeError when it is not possible here */
  play(line: string): void {
    const next = this.clusters.next(this.cluster, unbounded).find((one) => moveText(one) === line);
    if (next === undefined) {
      const possible = this.clusters.next(this.cluster, unbounded).map(moveText);
      throw new RangeError(`"${line}" is not possible here; possible:\n  ${possible.join('\n  ')}`);
    }
    this.#take(next);
  }

  /** Delivers and syncs whatever `arrives`, until nothing of that is left to do. */
  settle(arrives: (m: Message) => boolean = () => true): void {
    for (;;) {
      const next = this.clusters.next(this.cluster, unbounded).find(({ input: { value }, again }) => {
        if (again) return false;
        return (
          value.type === 'sync' ||
          value.type === 'apply' ||
          (value.type === 'deliver' && arrives(value.message))
        );
      });
      if (next === undefined || this.breach !== null) return;
      this.#take(next);
    }
  }

  #take(next: ReturnType<Clusters['next']>[number]): void {
    this.moves.push({ who: next.who, input: next.input, again: next.again });
    this.cluster = next.cluster;
    this.breach ??= next.breach ?? this.clusters.breach(next.cluster);
  }
}

/** A step as a trace shows it. */
export function moveText({ who, input, again }: Move): string {
  return `@${who + 1} ${input.text}${again ? ' (comes again)' : ''}`;
}
