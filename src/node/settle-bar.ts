/**
 * A proposal under which somebody is barred, until nothing of it can happen any more (docs/ha.md, rule 4). The bar is
 * lifted when the proposal was applied or refused, or was never made. When its outcome stays unknown although this
 * member goes on leading (a disk that hangs), an empty entry is proposed after it: once that is applied, everything
 * before it is decided. When the lead is lost the bar means nothing any more: its owner grants nothing.
 */
import type { Command } from '../config/commands.ts';
import { consensusOutcome, isRefusal } from '../ops/session.ts';
import { CommandRefused } from './ops-ports.ts';

export interface SettleBarDeps {
  after(delay_ms: number, fn: () => void): () => void;
  propose(command: Command): Promise<{ index: number; value: unknown }>;
  stopped(): boolean;
}

const first_delay_ms = 250;
const last_delay_ms = 10_000;

const isDecided = (error: unknown): boolean =>
  error instanceof CommandRefused || isRefusal(error) || consensusOutcome(error) === 'not-proposed';

/** Resolves or rejects as the proposal does; `release` is called when its outcome is certain, perhaps later. */
export async function settleBar(deps: SettleBarDeps, command: Command, release: () => void): Promise<void> {
  function settle(delay_ms: number): void {
    deps.after(delay_ms, () => {
      if (deps.stopped()) return;
      deps.propose({ type: 'batch', time: command.time, commands: [] }).then(release, (error: unknown) => {
        // Refused is applied. Not proposed says nothing of what came before.
        if (error instanceof CommandRefused || isRefusal(error)) release();
        else settle(Math.min(last_delay_ms, delay_ms * 2));
      });
    });
  }
  try {
    await deps.propose(command);
    release();
  } catch (error) {
    if (isDecided(error)) release();
    else settle(first_delay_ms);
    throw error;
  }
}
