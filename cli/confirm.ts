/**
 * Asks before something is lost. Without a terminal and without --force it refuses: silence is no consent.
 */
import { CliError, exit_status } from './exit-status.ts';
import type { Terminal } from './terminal.ts';

/** Resolves when the user said yes (or `force`); throws status 13 otherwise. `loss` names what will be lost. */
export async function confirm(terminal: Terminal, loss: string, force: boolean): Promise<void> {
  if (force) return;
  if (!terminal.stdin_is_tty) {
    throw new CliError(
      `${loss} Not done: there is no terminal to ask on`,
      'the same with --force',
      exit_status.declined,
    );
  }
  terminal.err(`${loss}\nGo on? [y/N] `);
  // Loaded when needed: every command would pay for it.
  const { createInterface } = await import('node:readline');
  const lines = createInterface({ input: terminal.stdin, terminal: false });
  const answer = await new Promise<string>((resolve) => {
    const undo = terminal.onInterrupt(() => lines.close());
    lines.once('line', (line) => {
      resolve(line.trim().toLowerCase());
      lines.close();
    });
    lines.once('close', () => {
      undo();
      resolve('');
    });
  });
  if (answer !== 'y' && answer !== 'yes') {
    throw new CliError(
      'declined: nothing was changed',
      'the same again and y, or --force',
      exit_status.declined,
    );
  }
}
