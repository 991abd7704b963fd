/**
 * Consensus: what the rest of the program uses of it.
 */
export * from './api.ts';
export { configurationOf, decodeConfiguration, encodeConfiguration } from './configuration.ts';
export { LogCorruptError, LogExistsError, LogMissingError } from './log-errors.ts';
export {
  bootstrapLog,
  type DiskLogStore,
  type LogStoreOptions,
  log_room_bytes,
  openLogStore,
} from './log-store.ts';
export { openReplica } from './replica.ts';
export type { ReplicaDeps, ReplicaLimits, ReplicaOptions } from './replica-options.ts';
export { type Damage, describeFault, setLogAside } from './set-aside.ts';
export { diskSpool } from './snapshot-spool.ts';
export type * from './types.ts';
