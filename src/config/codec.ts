/**
 * Commands as bytes, for the log: msgpack of [version, command]. Bytes that this code cannot read give a refusal that
 * every replica of the same version gives alike.
 */
import { Packr } from 'msgpackr';
import { checkCommand } from './command-schemas.ts';
import { type Command, command_version, type Refusal } from './commands.ts';
import { limits } from './limits.ts';
import { deepFreeze, plainData } from './plain-data.ts';
import { Refused, refuse, shown } from './refused.ts';

const packr = new Packr({ useRecords: false });
/** Frozen: nothing can have changed them since they were checked. */
const decoded_commands = new WeakSet<Command>();

/** Why bytes are no command. */
export class CommandDecodeError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = 'CommandDecodeError';
    this.refusal = refusal;
  }
}

export type Decoded =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly error: Refusal };

/** Throws a RangeError when the command is larger than the log takes. */
export function encodeCommand(command: Command): Uint8Array {
  const bytes = packr.pack([command_version, command]);
  if (bytes.length > limits.command_bytes) {
    throw new RangeError(
      `a command of ${bytes.length} bytes is too large: expected ${limits.command_bytes} at most`,
    );
  }
  return bytes;
}

/** Never throws. */
export function tryDecodeCommand(bytes: Uint8Array): Decoded {
  try {
    return { ok: true, command: decoded(bytes) };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, error: error.refusal };
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, error: { code: 'invalid', message: `the command cannot be decoded: ${reason}` } };
  }
}

/** Whether this very object came out of decoding: then it is plain data, was checked, and is frozen. */
export function isDecoded(command: Command): boolean {
  return decoded_commands.has(command);
}

/** Throws {@link CommandDecodeError}. */
export function decodeCommand(bytes: Uint8Array): Command {
  const outcome = tryDecodeCommand(bytes);
  if (!outcome.ok) throw new CommandDecodeError(outcome.error);
  return outcome.command;
}

function decoded(bytes: Uint8Array): Command {
  if (bytes.length > limits.command_bytes) {
    refuse(
      'invalid',
      `a command of ${bytes.length} bytes is too large: expected ${limits.command_bytes} at most`,
    );
  }
  const envelope: unknown = packr.unpack(bytes);
  if (!Array.isArray(envelope) || envelope.length !== 2) {
    return refuse(
      'invalid',
      `the command's envelope is ${shown(typeof envelope)}: expected [version, command]`,
    );
  }
  const [version, command] = envelope as [unknown, unknown];
  if (version !== command_version) {
    refuse('invalid', `the command has version ${shown(version)}: expected ${command_version}`);
  }
  const checked = deepFreeze(checkCommand(plainData(command)));
  decoded_commands.add(checked);
  return checked;
}
