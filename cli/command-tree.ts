/** The tree of commands as plain data, read from commander: what completion is made from. */
import type { Command } from 'commander';
import { createProgram, registerGroups } from './command-line.ts';
import type { Wrap } from './register.ts';
import type { Terminal } from './terminal.ts';

export interface CommandWords {
  /** `instance list`; '' for the program. */
  readonly path: string;
  readonly subcommands: readonly string[];
  readonly options: readonly string[];
  /** What a positional argument names: `instance`, `node`, `job`, `os`, `labnode`, `file` or ''. */
  readonly argument: string;
  /** Options with a value, and what it names. */
  readonly values: readonly { readonly option: string; readonly kind: string }[];
}

/** Kinds of names that `skein __complete` knows. */
export const name_kinds = ['instance', 'node', 'group', 'job', 'os', 'labnode'] as const;
export type NameKind = (typeof name_kinds)[number];

function kindOf(name: string): string {
  const stem = name.replace(/\.\.\.$/, '').replace(/s$/, '');
  return (name_kinds as readonly string[]).includes(stem) ? stem : name === 'os' ? 'os' : '';
}

const value_kinds: Readonly<Record<string, string>> = {
  node: 'node',
  'target-node': 'node',
  'new-secondary': 'node',
  to: 'node',
  'node-group': 'group',
  'os-type': 'os',
  on: 'labnode',
  socket: 'file',
  dir: 'file',
};

function describe(command: Command, path: string): CommandWords[] {
  const visible = command.commands.filter((child) => child.name() !== '__complete');
  const options = command.options.flatMap((option) =>
    [option.short, option.long].filter((flag) => flag !== undefined),
  );
  const values = command.options
    .filter((option) => option.required || option.optional)
    .flatMap((option) => {
      const kind = value_kinds[(option.long ?? '').replace(/^--/, '')] ?? 'value';
      return [option.short, option.long]
        .filter((flag) => flag !== undefined)
        .map((flag) => ({ option: flag, kind }));
    });
  const argument = command.registeredArguments[0]?.name() ?? '';
  const own: CommandWords = {
    path,
    subcommands: visible.flatMap((child) => [child.name(), ...child.aliases()]),
    options: [...options, '--help'],
    argument: kindOf(argument),
    values,
  };
  const join = (name: string): string => (path === '' ? name : `${path} ${name}`);
  return [
    own,
    ...visible.flatMap((child) =>
      [child.name(), ...child.aliases()].flatMap((name) => describe(child, join(name))),
    ),
  ];
}

/** Every command of the program, aliases as commands of their own. */
export async function commandTree(terminal: Terminal): Promise<readonly CommandWords[]> {
  const program = createProgram(terminal);
  const inert: Wrap = () => async () => undefined;
  await registerGroups(program, inert, 'all');
  return describe(program, '');
}
