/**
 * A mutant: a wrong variant of the source, as texts to find and what to put in their place. The source knows nothing of
 * it. A text that is not there exactly once is an error, so that no mutant quietly becomes the real code.
 */

export type SimulatorName = 'raft' | 'scenes' | 'explore' | 'cluster' | 'scenarios' | 'rot';

export interface Edit {
  /** From the project's root, with forward slashes. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** Why it is dangerous, in one sentence. */
  readonly danger: string;
  /** The simulator that must kill it. */
  readonly simulator: SimulatorName;
  /** More than one: assertions and second copies that would hide the fault go with it. */
  readonly edits: readonly Edit[];
  /** Why it may survive: it is proven equivalent, or names what no simulator does yet. Absent: it must be killed. */
  readonly survives?: string;
}

/** A mutant that cannot be made. */
export class PatchError extends Error {}

/** `source` of `file` with all of `edits` that are for it. @throws PatchError */
export function patched(file: string, source: string, edits: readonly Edit[]): string {
  let text = source;
  for (const edit of edits) {
    if (edit.file !== file) continue;
    const parts = text.split(edit.find);
    if (parts.length !== 2) {
      const found = parts.length - 1;
      throw new PatchError(`${file}: expected once, found ${found} times: ${JSON.stringify(edit.find)}`);
    }
    text = parts.join(edit.replace);
  }
  return text;
}

/** The files that a mutant changes. */
export function filesOf(mutant: Mutant): readonly string[] {
  return [...new Set(mutant.edits.map((edit) => edit.file))];
}

/** An edit in `src/consensus`. */
export function consensus(name: string, find: string, replace: string): Edit {
  return { file: `src/consensus/${name}.ts`, find, replace };
}
