/** Jobs in words: summaries, results and errors, from the job object itself. */
import type { Job, JobOp, OpInput, OpStatus } from '../src/config/model.ts';

const final_states: ReadonlySet<OpStatus> = new Set(['success', 'error', 'canceled']);

export function isFinal(status: OpStatus): boolean {
  return final_states.has(status);
}

/** `INSTANCE_CREATE(web1)`, as Ganeti prints an opcode. */
export function opSummary(input: OpInput): string {
  const name = input.OP_ID.replace(/^OP_/, '');
  const subject = input.instance_name ?? input.node_name ?? input.name ?? input.kind ?? input.duration;
  return typeof subject === 'string' || typeof subject === 'number' ? `${name}(${subject})` : name;
}

export function jobSummary(job: Job): string {
  return job.ops.map((op) => opSummary(op.input)).join(', ');
}

/** An op's error as `message (code)`, from Ganeti's `[class, [message, code]]`; null when it has none. */
export function opError(op: JobOp): string | null {
  if (op.status !== 'error') return null;
  const result = op.result;
  if (!Array.isArray(result))
    return result === null || result === undefined ? 'no reason given' : String(result);
  const parts: unknown = result[1];
  if (!Array.isArray(parts)) return String(parts ?? result[0]);
  const [message, code] = parts as readonly unknown[];
  return code ? `${message} (${code})` : String(message);
}

/** What to try after an op failed, by Ganeti's error code. */
export function opAdvice(op: JobOp, job: number): string {
  const parts: unknown = Array.isArray(op.result) ? op.result[1] : null;
  const code: unknown = Array.isArray(parts) ? parts[1] : '';
  const instance = typeof op.input.instance_name === 'string' ? op.input.instance_name : null;
  switch (code) {
    case 'unknown_entity':
      return 'skein instance list, skein node list or skein os list for the names there are';
    case 'already_exists':
    case 'resource_not_unique':
      return 'another name, or skein instance list';
    case 'insufficient_resources':
    case 'temp_insufficient_resources':
      return 'skein node list to see what is free, or ask for less';
    case 'wrong_input':
      return 'the same command with --help';
    case 'wrong_state':
      return instance ? `skein instance info ${instance}` : 'skein status';
    default:
      return `skein job info ${job}`;
  }
}

/** Text of a log line, whatever its kind. */
export function logText(text: unknown): string {
  return typeof text === 'string' ? text : JSON.stringify(text);
}
