/**
 * When does a command commit again? A job that does nothing is submitted to each of some nodes every 10 ms, over one
 * connection a node, without waiting for earlier ones.
 */
import type { LabNode } from '../cli/lab/lab.ts';
import { type ApiClient, connectApi } from '../src/node/api-client.ts';
import { nowMs, until } from './clock.ts';
import { submitNoop } from './skein-lab.ts';

const every_ms = 10;
/** Of a connection; an agent takes 64 calls at a time. Those that wait are as good: each was sent after the fault. */
const most_waiting = 60;

export interface CommandProber {
  /** Resolves with when the first command committed that was sent from now on. */
  firstCommit(timeout_ms: number): Promise<number>;
  end(): void;
}

/** Connects before the fault, so that only the cluster's time is measured. */
export async function openCommandProber(
  nodes: readonly LabNode[],
  deadline_ms: number,
): Promise<CommandProber> {
  const clients: readonly ApiClient[] = await Promise.all(nodes.map((node) => connectApi(node.socket)));
  let timer: NodeJS.Timeout | null = null;
  const waiting = new Map<ApiClient, number>();
  const failures = new Map<string, number>();
  let first_ms: number | null = null;

  function send(client: ApiClient): void {
    const others = waiting.get(client) ?? 0;
    if (others >= most_waiting) return;
    waiting.set(client, others + 1);
    submitNoop(client, deadline_ms)
      .then(() => {
        first_ms ??= nowMs();
      })
      .catch((error: Error) => failures.set(error.message, (failures.get(error.message) ?? 0) + 1))
      .finally(() => {
        waiting.set(client, (waiting.get(client) ?? 1) - 1);
      });
  }
  const end = (): void => {
    if (timer) clearInterval(timer);
    timer = null;
    for (const client of clients) client.close();
  };
  return {
    async firstCommit(timeout_ms) {
      const round = (): void => {
        if (first_ms === null) for (const client of clients) send(client);
      };
      timer = setInterval(round, every_ms);
      round();
      try {
        return await until('a command to commit', timeout_ms, 1, () => first_ms);
      } catch (error) {
        throw new Error(`${(error as Error).message}; errors: ${JSON.stringify([...failures])}`);
      }
    },
    end,
  };
}
