/**
 * Every bound of the replicated state, in one table. A command that would pass one of them is refused; nothing in the
 * state can grow without end. Ganeti's own limits where it has one.
 */

export const limits = {
  /** Encoded command; the log's entries stay far below what one append may carry. */
  command_bytes: 8 * 1024 * 1024,
  /** Values (of any kind) inside one command. */
  command_values: 200_000,
  /** Nesting of plain data; deeper input would be a way to exhaust the stack. */
  data_depth: 32,
  /** `batch` and `step-end` inside one another. */
  command_depth: 4,
  commands_per_batch: 1_000,

  name_chars: 253,
  id_chars: 128,
  text_chars: 4_096,
  params: 256,
  tag_chars: 128,
  tags_per_object: 4_096,

  nics_per_instance: 8,
  disks_per_instance: 16,
  owner_log: 8,
  /** 1 PiB in MiB: a disk that is larger is a slip of the pen. */
  disk_mib: 1024 * 1024 * 1024,

  /** Min-max pairs of an instance policy. */
  ipolicy_pairs: 16,
  /** Any amount in an instance policy: far beyond any host, and exact as a number. */
  ipolicy_amount: 2 ** 40,

  jobs_per_submit: 1_000,
  ops_per_job: 1_000,
  depends_per_job: 1_000,
  locks_per_job: 20_000,
  /** Jobs that have not ended (Ganeti's hard queue limit). */
  pending_jobs: 5_000,
  /** Jobs that have ended and are kept for reading. */
  finished_jobs: 2_000,
  /** Request ids remembered so that no retry makes a job twice. */
  requests: 10_000,
  log_lines_per_op: 1_000,
  log_text_chars: 64 * 1024,
  steps_per_op: 100_000,
  tokens: 1_000,
  /** How long an expired token is remembered, so that a late joiner is told `expired` rather than `unknown`. */
  token_memory_s: 86_400,
} as const;
