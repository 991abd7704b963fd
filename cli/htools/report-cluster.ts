/** What several htools do with a cluster besides their work: list its nodes, save it. Both are told on the standard error. */
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { type ExtraInstance, listNodes } from '../../src/placement/node-list.ts';
import type { Table } from '../../src/placement/table.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import type { ToolIo } from './tool-io.ts';

/** @param fields null: not asked for */
export function maybeListNodes(
  io: ToolIo,
  fields: readonly string[] | null,
  title: string,
  table: Table,
  extra: readonly ExtraInstance[] = [],
): void {
  if (fields === null) return;
  io.err(`\n${title} status:\n${listNodes(table, fields, extra)}\n`);
}

/** @param path null: not asked for; the file's name gets the extension */
export function maybeSave(
  io: ToolIo,
  path: string | null,
  extension: string,
  when: string,
  cluster: () => PlacementCluster,
): void {
  if (path === null) return;
  const file = `${path}.${extension}`;
  io.write(file, formatTextCluster(cluster()));
  io.err(`The cluster state ${when} has been written to file '${file}'\n`);
}
