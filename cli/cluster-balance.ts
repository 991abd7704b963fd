/** `skein cluster balance`: which moves would balance the cluster, or making them. */
import type { Command } from 'commander';
import { type ExitStatus, exit_status, usageError } from './exit-status.ts';
import { parseWhole } from './key-values.ts';
import type { Session } from './session.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

export interface BalanceOptions extends SubmitOptions {
  readonly nodeGroup?: string;
  readonly run?: boolean;
  readonly allowRestart?: boolean;
  readonly maxMoves: string;
  readonly minGain: string;
  readonly gainPerGib: string;
  readonly gainPerDownSecond: string;
}

export function describeBalance(command: Command): Command {
  return addSubmitOptions(command)
    .description('which moves would balance the cluster, and whether each is worth it; with --run, make them')
    .option('-g, --node-group <group>', 'only this group')
    .option('--run', 'make the moves, one after the other, each the best as things are then')
    .option(
      '--allow-restart',
      'with --run: instances may be stopped and started elsewhere (live migration is not there yet)',
    )
    .option('-l, --max-moves <n>', 'at most so many, of each group', '50')
    .option('--min-gain <score>', 'what a move must gain', '0.01')
    .option('--gain-per-gib <score>', 'what it must gain beyond that for each GiB that it copies', '0')
    .option('--gain-per-down-second <score>', 'and for each second that its instance stands still', '0');
}

function score(name: string, text: string): number {
  const value = Number(text);
  if (text !== '' && value >= 0 && Number.isFinite(value)) return value;
  throw usageError(`--${name} "${text}"`, 'a number, 0 or above');
}

export async function balanceCommand(session: Session, options: BalanceOptions): Promise<ExitStatus> {
  const limits = {
    max_moves: parseWhole(options.maxMoves, '--max-moves', 1),
    min_gain: score('min-gain', options.minGain),
    gain_per_gib: score('gain-per-gib', options.gainPerGib),
    gain_per_down_s: score('gain-per-down-second', options.gainPerDownSecond),
  };
  if (options.run) {
    const group = options.nodeGroup === undefined ? {} : { group_name: options.nodeGroup };
    const allow_restart = options.allowRestart === true;
    return submitJobs(session, [[{ OP_ID: 'OP_BALANCE_RUN', ...limits, ...group, allow_restart }]], options);
  }
  const group = options.nodeGroup === undefined ? {} : { group: options.nodeGroup };
  const { plan, lines } = await session.call('balance.plan', { ...limits, ...group });
  if (session.globals.json) session.printJson(plan);
  else for (const line of lines) session.print(line);
  return exit_status.ok;
}
