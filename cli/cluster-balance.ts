/** `skein cluster balance`: which moves would balance the cluster, or making them; and the cluster's own balancing. */
import type { Command } from 'commander';
import { type ExitStatus, exit_status, usageError } from './exit-status.ts';
import { parseKeyValues, parseWhole } from './key-values.ts';
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

/** `skein cluster modify --balancing`. Which settings there are, and what each may be, the job says. */
export function balancingChange(text: string): 'on' | 'off' | Record<string, number | boolean | string> {
  if (text === 'on' || text === 'off') return text;
  const settings = Object.entries(parseKeyValues(text, '--balancing')).map(([key, value]) => {
    if (value === null || value === '')
      throw usageError(`--balancing: ${key} has no value`, `--balancing ${key}=…, on or off`);
    const words: Record<string, boolean> = { yes: true, no: false, true: true, false: false };
    const plain = typeof value === 'string' ? (words[value] ?? value) : value;
    const number = typeof plain === 'string' ? Number(plain) : Number.NaN;
    return [key.replaceAll('-', '_'), Number.isFinite(number) ? number : plain] as const;
  });
  if (settings.length === 0)
    throw usageError('--balancing is empty', 'on, off or --balancing moves-per-hour=4');
  return Object.fromEntries(settings);
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
