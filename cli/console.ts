/**
 * `skein instance console`: joins the terminal to a guest's serial console, wherever it runs. ^] (or ~. at the start
 * of a line) leaves; the terminal is put back however it ends.
 */
import type { Command } from 'commander';
import { type ExitStatus, exit_status, usageError } from './exit-status.ts';
import type { Wrap } from './register.ts';
import type { Session } from './session.ts';

interface ConsoleOptions {
  readonly showCmd?: boolean;
  readonly stdin: boolean;
  readonly follow?: boolean;
  readonly seconds?: string;
}

/** Finds the escape in typed bytes. Holds a `~` at the start of a line back until the next byte decides. */
export class EscapeFilter {
  private at_line_start = true;
  private tilde = false;

  /** The bytes to send on, and whether the escape came. */
  push(bytes: Uint8Array): { readonly send: Uint8Array; readonly leave: boolean } {
    const send: number[] = [];
    for (const byte of bytes) {
      if (byte === 0x1d) return { send: Uint8Array.from(send), leave: true };
      if (this.tilde) {
        this.tilde = false;
        if (byte === 0x2e) return { send: Uint8Array.from(send), leave: true };
        send.push(0x7e);
        // ~~ at the start of a line sends one ~.
        if (byte === 0x7e) {
          this.at_line_start = false;
          continue;
        }
      }
      if (byte === 0x7e && this.at_line_start) {
        this.tilde = true;
        continue;
      }
      send.push(byte);
      this.at_line_start = byte === 0x0d || byte === 0x0a;
    }
    return { send: Uint8Array.from(send), leave: false };
  }
}

async function attach(session: Session, name: string, options: ConsoleOptions): Promise<ExitStatus> {
  const seconds = options.seconds === undefined ? null : Number(options.seconds);
  if (seconds !== null && !(seconds > 0))
    throw usageError(`--seconds: "${options.seconds}" is no time`, '--seconds 5');
  const { terminal } = session;
  const client = await session.connect();
  const { result, stream } = await client.attachConsole(name, 30_000);
  const typing = options.stdin && !options.follow;
  if (typing && terminal.stdin_is_tty) terminal.err(`Connected to ${name} on ${result.node}; ^] leaves.\r\n`);

  const done = Promise.withResolvers<'guest' | 'user'>();
  const typed = new EscapeFilter();
  const onTyped = (bytes: Uint8Array): void => {
    const { send, leave } = typed.push(bytes);
    if (send.length > 0) stream.write(send);
    if (leave) done.resolve('user');
  };
  const undo = terminal.onInterrupt(() => done.resolve('user'));
  const timer = seconds === null ? null : setTimeout(() => done.resolve('user'), seconds * 1000);
  stream.onData((bytes) => terminal.out(bytes));
  stream.onClose(() => done.resolve('guest'));
  if (typing) {
    if (terminal.stdin_is_tty) terminal.stdin.setRawMode?.(true);
    terminal.stdin.on('data', onTyped);
    terminal.stdin.resume();
  }
  try {
    const who = await done.promise;
    if (typing && terminal.stdin_is_tty)
      terminal.err(`\r\n${who === 'guest' ? 'The guest’s console ended' : 'Left'}.\r\n`);
    return exit_status.ok;
  } finally {
    undo();
    if (timer) clearTimeout(timer);
    if (typing) {
      terminal.stdin.removeListener('data', onTyped);
      terminal.stdin.pause();
      if (terminal.stdin_is_tty) terminal.stdin.setRawMode?.(false);
    }
    stream.close();
  }
}

export function registerConsole(parent: Command, wrap: Wrap): void {
  parent
    .command('console')
    .description('the serial console of a running instance; ^] leaves')
    .argument('<instance>')
    .option('--show-cmd', 'only say where the console is')
    .option('--no-stdin', 'only show what the guest prints')
    .option('--follow', 'the same as --no-stdin')
    .option('--seconds <n>', 'leave after so many seconds')
    .action(
      wrap(async (session, name: string, options: ConsoleOptions) => {
        if (!options.showCmd) return attach(session, name, options);
        const where = await session.call('instance.console', { instance: name, attach: false });
        if (session.globals.json) session.printJson(where);
        else
          session.print(`${where.kind} on ${where.node}${where.message === '' ? '' : `: ${where.message}`}`);
        return exit_status.ok;
      }),
    );
}
