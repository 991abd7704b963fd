/** Whole lines of a child's standard output, as they come. */
import { createInterface } from 'node:readline';
import type { Child } from './child.ts';

export function onLine(child: Child, handler: (line: string) => void): void {
  const { stdout } = child.process;
  if (stdout === null) throw new Error(`process ${child.pid} has no pipe`);
  createInterface({ input: stdout }).on('line', handler);
}
