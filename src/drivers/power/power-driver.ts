/**
 * Takes hosts down and up again: this one by the operator's program, another one by Ganeti's out-of-band program.
 *
 * Never: a program that no operator put there. Nothing that Skein ships can reboot a host.
 */
import { findProgram } from '../process/program-path.ts';
import { runCommand } from '../process/run-command.ts';
import { DriverError, type PowerDriver } from '../types.ts';

export interface PowerDriverOptions {
  /** Absolute path of the program that reboots this host; it is given the node's name. */
  readonly reboot_program: string;
  /** For one run of either program. */
  readonly timeout_ms: number;
}

async function need(program: string, hint: string): Promise<string> {
  if (!program.startsWith('/'))
    throw new DriverError('invalid', `program ${JSON.stringify(program)}: expected an absolute path`);
  const found = await findProgram(program);
  if (found === null)
    throw new DriverError('missing-program', `there is no executable ${program} on this host`, hint);
  return found;
}

/** Somebody waits to know whether guests may be started elsewhere. */
const most_status_ms = 10_000;

/** Ganeti's form: `{"powered": true}`. @throws DriverError for anything else: it is no answer */
function parseStatus(program: string, text: string): boolean {
  const expected = 'expected {"powered": true} or {"powered": false}';
  let status: unknown;
  try {
    status = JSON.parse(text);
  } catch {
    status = null;
  }
  const powered = (status as { readonly powered?: unknown } | null)?.powered;
  if (typeof powered === 'boolean') return powered;
  throw new DriverError(
    'failed',
    `${program} power-status said ${JSON.stringify(text.slice(0, 200))}: ${expected}`,
  );
}

/** Creates the power driver of this host. */
export function createPowerDriver({ reboot_program, timeout_ms }: PowerDriverOptions): PowerDriver {
  return {
    async reboot(node) {
      const program = await need(
        reboot_program,
        'write a program that reboots the host, for example of the two lines "#!/bin/sh" and "exec systemctl reboot"',
      );
      await runCommand([program, node], { timeout_ms });
    },

    async powerCycle(program, node) {
      const found = await need(program, 'install it on every node, or correct oob_program of the node');
      await runCommand([found, 'power-cycle', node], { timeout_ms });
    },

    async isPowered(program, node) {
      const found = await need(program, 'install it on every node, or correct oob_program of the node');
      const { stdout } = await runCommand([found, 'power-status', node], {
        timeout_ms: Math.min(timeout_ms, most_status_ms),
      });
      return parseStatus(program, stdout);
    },
  };
}
