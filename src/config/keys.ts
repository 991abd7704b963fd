/**
 * Keys of objects whose key is not simply their uuid. Padded, so that text order is number order.
 */

export const cluster_key = 'cluster';
export const meta_key = 'meta';

const job_digits = 12;
const op_digits = 4;
const step_digits = 6;

function padded(value: number, digits: number): string {
  const text = String(value);
  if (!Number.isSafeInteger(value) || value < 0 || text.length > digits) {
    throw new RangeError(`${value} is no key: expected an integer from 0 to ${'9'.repeat(digits)}`);
  }
  return text.padStart(digits, '0');
}

/** Key of a job: its id in twelve digits. */
export function jobKey(job: number): string {
  return padded(job, job_digits);
}

/** Key of a step: `JOB/OP/STEP`, each padded. */
export function stepKey(job: number, op: number, step: number): string {
  return `${stepPrefix(job)}${padded(op, op_digits)}/${padded(step, step_digits)}`;
}

/** What the keys of all steps of a job begin with. */
export function stepPrefix(job: number): string {
  return `${jobKey(job)}/`;
}
