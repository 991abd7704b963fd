/** Ganeti's one-line summary of an opcode: its name without `OP_`, and what it is about. */
export function summary(id: string, about: string | null): string {
  const name = id.replace(/^OP_/, '');
  return about === null || about === '' ? name : `${name}(${about})`;
}
